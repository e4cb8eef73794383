/** Tells which part of the client a frame is for; 'other' frames are answers. */
export function route({ type, seq, payload }) {
  if (typeof type !== "string") return "unknown";
  if (typeof seq === "number") return "delivery";
  if (type.startsWith("WEBRTC_") && type !== "WEBRTC_SERVER_ACK")
    return "signal";
  switch (type) {
    case "CLIENT_ACK_OK":
      return "confirmation";
    case "REFRESH_OK":
      return "refreshed";
    case "S2C":
      return payload ? "notice" : "unknown";
    case "ERROR":
      return "error";
    case "C2C_READ":
    case "C2G_READ":
      return "read";
    case "C2C_TYPING":
    case "C2G_TYPING":
      return "typing";
    default:
      return "other";
  }
}
