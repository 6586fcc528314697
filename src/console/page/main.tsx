import { render } from "preact";
import "./style.css";

const place = document.querySelector("#console");
if (place) render(<p>Loading …</p>, place);
