import { render } from "preact";
import { Console } from "./console.tsx";
import { listen } from "./live.ts";
import "./style.css";

const place = document.querySelector("#console");
if (place) {
  place.replaceChildren();
  const show = (): void => render(<Console live={live} />, place);
  const live = listen(show);
  show();
}
