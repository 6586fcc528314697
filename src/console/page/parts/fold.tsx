import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/**
 * Text that keeps to its space: lines beyond so many are behind "more". A screen reader reads all of it at once. What
 * fits is measured, as it depends on the window.
 */
export function Fold(props: { readonly lines: 2 | 3; readonly children: ComponentChildren }): JSX.Element {
  const { lines, children } = props;
  const text = useRef<HTMLSpanElement>(null);
  const [isLong, setLong] = useState(false);
  const [open, setOpen] = useState(false);
  const measure = (): void => {
    const box = text.current;
    // Open, all of it fits: that says nothing. What is seen counts, not what is about to be drawn.
    if (box && !box.classList.contains("open")) setLong(box.scrollHeight > box.clientHeight + 2);
  };
  useEffect(measure);
  useEffect(() => {
    const observer = new ResizeObserver(measure);
    if (text.current) observer.observe(text.current);
    return () => observer.disconnect();
  }, []);
  return (
    <>
      <span ref={text} class={open ? "fold open" : `fold lines-${lines}`}>
        {children}
      </span>
      {isLong && (
        <button type="button" class="link" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? "less" : "more"}
        </button>
      )}
    </>
  );
}
