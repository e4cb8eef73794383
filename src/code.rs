//! Every number that tells a client what went wrong, and whether to come back.

/// A refusal, as clients see it in an ERROR frame or in the body of an HTTP answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum Code {
    /// The frame or the request cannot be read; sending it again will not help.
    BadFrame = 400,
    /// Whoever asks may not do this, or an operator has banned the user or the device.
    Forbidden = 403,
    /// Nobody and nothing by that name is there.
    NotFound = 404,
    /// The id was used before for the same reader with another content.
    Conflict = 409,
    /// The payload is longer than `listen.max_payload`.
    TooLarge = 413,
    /// The sender is too fast, or its window of unanswered messages is full; it may repeat with the same id.
    TooFast = 429,
    /// The store failed and the outcome is unknown; the sender repeats with the same id.
    Storage = 500,
    /// The server is overloaded or draining; the sender repeats with the same id.
    Busy = 503,
    /// The reader's inbox holds as many unread messages as it may; the sender may repeat later with the same id.
    InboxFull = 507,
    /// The token was valid and has expired.
    RefreshToken = 705,
    /// The token is not valid for this use.
    InvalidToken = 706,
}

impl Code {
    /// Every code, in rising order.
    pub const ALL: [Code; 11] = [
        Code::BadFrame,
        Code::Forbidden,
        Code::NotFound,
        Code::Conflict,
        Code::TooLarge,
        Code::TooFast,
        Code::Storage,
        Code::Busy,
        Code::InboxFull,
        Code::RefreshToken,
        Code::InvalidToken,
    ];

    /// Returns the number that goes on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Returns the short English text that goes with the number; those of 705 and 706 are the original server's.
    pub const fn message(self) -> &'static str {
        match self {
            Code::BadFrame => "Bad frame",
            Code::Forbidden => "Forbidden",
            Code::NotFound => "Not found",
            Code::Conflict => "Same id with another content",
            Code::TooLarge => "Too large",
            Code::TooFast => "Too fast",
            Code::Storage => "Storage failed, outcome unknown",
            Code::Busy => "Busy, try again",
            Code::InboxFull => "Inbox full",
            Code::RefreshToken => "Please refresh token",
            Code::InvalidToken => "Invalid token",
        }
    }

    /// Returns the HTTP status of an answer that carries this code: the token codes are 401, the others are themselves.
    pub const fn http_status(self) -> u16 {
        match self {
            Code::RefreshToken | Code::InvalidToken => 401,
            code => code.number(),
        }
    }
}

/// Why the server closes a WebSocket connection.
///
/// The range carries the meaning for a client that does not know the number: after 4000 to 4049 it does not come straight
/// back, because the same would happen again; after 4050 to 4099 it reconnects. Below 4000 the numbers are RFC 6455's,
/// and a client mends what it sends before it comes back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum Close {
    /// The peer broke the WebSocket protocol itself.
    Protocol = 1002,
    /// A frame was longer than `listen.max_frame`.
    TooBig = 1009,
    /// The token is invalid, or expired without having been refreshed.
    Token = 4006,
    /// A newer connection of the same device took over.
    Replaced = 4008,
    /// An operator ended the connection, or the device was forgotten.
    Kicked = 4013,
    /// Nothing was heard for `device.idle_timeout_ms`.
    Idle = 4050,
    /// The peer did not read what was written for it.
    TooSlow = 4051,
    /// The server is going down.
    Draining = 4052,
    /// The process of this device died; its messages wait in the inbox.
    Crashed = 4053,
    /// One of `limits` keeps this client out for a while.
    Limited = 4054,
}

impl Close {
    /// Every close code, in rising order.
    pub const ALL: [Close; 10] = [
        Close::Protocol,
        Close::TooBig,
        Close::Token,
        Close::Replaced,
        Close::Kicked,
        Close::Idle,
        Close::TooSlow,
        Close::Draining,
        Close::Crashed,
        Close::Limited,
    ];

    /// Returns the number of the close frame.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Returns the reason of the close frame, well below the 123 bytes that fit there.
    pub const fn reason(self) -> &'static str {
        match self {
            Close::Protocol => "protocol error",
            Close::TooBig => "frame too big",
            Close::Token => "token",
            Close::Replaced => "replaced by a newer connection",
            Close::Kicked => "kicked",
            Close::Idle => "idle",
            Close::TooSlow => "too slow",
            Close::Draining => "draining",
            Close::Crashed => "crashed",
            Close::Limited => "limited",
        }
    }

    /// Tells whether a client should reconnect by itself.
    pub const fn reconnect(self) -> bool {
        matches!(self.number(), 4050..=4099)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_contract() {
        let numbers = Code::ALL.map(Code::number);
        assert_eq!(
            numbers,
            [400, 403, 404, 409, 413, 429, 500, 503, 507, 705, 706]
        );
        let numbers = Close::ALL.map(Close::number);
        assert_eq!(
            numbers,
            [1002, 1009, 4006, 4008, 4013, 4050, 4051, 4052, 4053, 4054]
        );
    }

    #[test]
    fn every_code_has_a_text_of_its_own_and_a_real_http_status() {
        for (at, code) in Code::ALL.into_iter().enumerate() {
            assert!(!code.message().is_empty());
            assert!((400..=599).contains(&code.http_status()), "{code:?}");
            assert!(
                Code::ALL[..at]
                    .iter()
                    .all(|other| other.message() != code.message())
            );
        }
        assert_eq!(Code::RefreshToken.message(), "Please refresh token");
        assert_eq!(Code::InvalidToken.message(), "Invalid token");
        assert_eq!(Code::RefreshToken.http_status(), 401);
        assert_eq!(Code::InvalidToken.http_status(), 401);
    }

    #[test]
    fn the_range_of_a_close_code_says_whether_to_come_back() {
        let back: Vec<Close> = Close::ALL
            .into_iter()
            .filter(|close| close.reconnect())
            .collect();
        assert_eq!(
            back,
            [
                Close::Idle,
                Close::TooSlow,
                Close::Draining,
                Close::Crashed,
                Close::Limited
            ]
        );
        assert!(Close::ALL.iter().all(|close| close.reason().len() <= 123));
    }
}
