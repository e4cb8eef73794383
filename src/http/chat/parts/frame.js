// One drawing for however many changes came before it.

const HIDDEN_MS = 250;

/** A function that may be called for every change; `draw` runs once, with the next frame. */
export function framed(draw) {
  let waits = false;
  return () => {
    if (waits) {
      return;
    }
    waits = true;
    let late;
    const run = () => {
      if (waits) {
        waits = false;
        clearTimeout(late);
        draw();
      }
    };
    // A page that is not seen gets no frames, and its title should count all the same.
    late = setTimeout(run, HIDDEN_MS);
    requestAnimationFrame(run);
  };
}
