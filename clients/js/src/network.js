/** Calls back when a browser's network or page comes back, or goes: each is a reason to look at the connection at once. */
export function watchNetwork(nudge) {
  const { window, document } = globalThis;
  if (!window?.addEventListener || !document) return () => {};
  const seen = () => document.visibilityState === "visible" && nudge();
  window.addEventListener("online", nudge);
  window.addEventListener("offline", nudge);
  document.addEventListener("visibilitychange", seen);
  return () => {
    window.removeEventListener("online", nudge);
    window.removeEventListener("offline", nudge);
    document.removeEventListener("visibilitychange", seen);
  };
}
