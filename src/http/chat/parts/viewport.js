// The height that an on-screen keyboard leaves, for browsers that do not shrink the page themselves.

/** Keeps the page as high as what is seen of it. */
export function followViewport() {
  const seen = window.visualViewport;
  if (!seen) {
    return;
  }
  const follow = () => {
    const isCovered = innerHeight - seen.height > 80 && seen.scale === 1;
    document.documentElement.style.setProperty("--height", isCovered ? `${seen.height}px` : "100dvh");
    document.documentElement.classList.toggle("covered", isCovered);
    if (isCovered) {
      window.scrollTo(0, 0);
    }
  };
  seen.addEventListener("resize", follow);
  follow();
}
