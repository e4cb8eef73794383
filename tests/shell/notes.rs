//! What the operator of the original server typed, typed here.

use std::time::{Duration, Instant};

use crate::support::{Client, Server, until};

const TOKEN_OF_13238: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE2Njg1Njk3MTY0MDksInN1YiI6InRrIiwidWlkIjoiYnltajVnIn0.zPojzN6IfxzIfU4CCJodguaAMcGPDx3XLTvou6-U9A8";
/// Signed with a key that was never published.
const FOREIGN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE2OTQwNTI2NDEyNjQsInN1YiI6InJ0ayIsInVpZCI6IjlkNG5uayJ9.N7X7mpInEbiawIP7qiDOf00Gbmm4H-4HM2cAukQ-040";

/// The notes' own lines, with what they leave to the reader bound first; the relay's port is one that is free here.
const PASTE: &str = r#"
% what the operator of the original server typed
MsgId = <<"msgid">>, Msg = <<"Msg bin">>.
Uid = 13238, DType = <<"ios">>.
1 = imboy_hashids:uid_decode("kybqdp").
1694052641264 - imboy_dt:millisecond().
webrtc_ws_logic:event(13238, <<"ios">>, MsgId, <<"Msg bin">>).
"#;

async fn device_of_the_notes(server: &Server) -> Client {
    let path = format!("/ws/?authorization={TOKEN_OF_13238}");
    let mut device = Client::open(server.public, &path).await;
    assert!(device.frame().await.is("S2C"));
    device
}

async fn nothing_is_on_its_way(server: &Server) {
    until("the delivery ends", async || {
        server.observe().await["deliveries"]["rows"] == serde_json::json!([])
    })
    .await;
}

#[tokio::test]
async fn the_lines_pasted_in_one_go_send_on_the_gaps_of_webrtc_until_the_ack() {
    let server = Server::start(&[]).await;
    let mut device = device_of_the_notes(&server).await;
    let printed = server.shell(PASTE).await;
    let lines: Vec<&str> = printed.lines().collect();
    let [bound, dtype, one, gone, sent] = lines.as_slice() else {
        panic!("{printed}");
    };
    assert_eq!(
        (*bound, *dtype, *one),
        ("<<\"Msg bin\">>", "<<\"ios\">>", "1")
    );
    assert!(gone.parse::<i64>().unwrap() < 0, "{gone}");
    assert_eq!(*sent, "ok");
    let mut came = Vec::new();
    for _ in 0..3 {
        assert_eq!(device.text().await, "Msg bin");
        came.push(Instant::now());
    }
    // Gaps of 1000 and 500 ms: a copy may be late, and never early.
    let gap = |n: usize| came[n + 1] - came[n];
    let slack = Duration::from_millis(200);
    assert!(gap(0) + slack >= Duration::from_millis(1000), "{came:?}");
    assert!(gap(1) + slack >= Duration::from_millis(500), "{came:?}");
    device.send("CLIENT_ACK,type,msgid,did").await;
    device.ack_ok("msgid").await;
    nothing_is_on_its_way(&server).await;
    device.heard_nothing_else().await;
}

#[tokio::test]
async fn a_list_of_gaps_is_walked_for_devices_of_that_type_only() {
    let server = Server::start(&[]).await;
    let mut phone = device_of_the_notes(&server).await;
    let mut other = server.login(13238, "laptop").await;
    let sends = "MillisecondList = [0, 1500, 1500, 3000, 1000, 3000, 5000], message_ds:send_next(13238, ios, <<\"m1\">>, \"raw text\", MillisecondList).";
    assert_eq!(server.value(sends).await, "ok");
    assert_eq!(phone.text().await, "raw text");
    phone.send("CLIENT_ACK,type,m1,did").await;
    phone.ack_ok("m1").await;
    other.heard_nothing_else().await;
    let to_all = "message_ds:send_next(13238, <<\"m2\">>, <<\"to all\">>, [0]).";
    assert_eq!(server.value(to_all).await, "ok");
    assert_eq!(phone.text().await, "to all");
    assert_eq!(other.text().await, "to all");
    let nobody = "message_ds:send_next(13238, android, <<\"m3\">>, <<\"x\">>, [0]).";
    assert_eq!(server.value(nobody).await, "{error,offline}");
    let late = "message_ds:send_next(13238, ios, <<\"m4\">>, <<\"late\">>, [100, 100]).";
    assert_eq!(server.value(late).await, "ok");
    assert_eq!(phone.text().await, "late");
    assert_eq!(server.metric("yizhan_accepted_total").await, 0.0);
}

#[tokio::test]
async fn ids_and_tokens_are_those_of_the_original_server() {
    let server = Server::start(&[]).await;
    assert_eq!(
        server
            .value("1 = imboy_hashids:uid_decode(\"kybqdp\").")
            .await,
        "1"
    );
    assert_eq!(
        server
            .raises("2 = imboy_hashids:uid_decode(\"kybqdp\").")
            .await,
        "** exception error: no match of right hand side value 1"
    );
    let encoded = "[imboy_hashids:uid_encode(N) || N <- [0, 1, 108, 13238, 513244]].";
    assert_eq!(
        server.value(encoded).await,
        "[<<\"2ja1kp\">>,<<\"kybqdp\">>,<<\"7b4v1b\">>,<<\"bymj5g\">>,\n <<\"9d4nnk\">>]"
    );
    let bad = server
        .raises("imboy_hashids:uid_decode(\"no such user\").")
        .await;
    assert!(bad.contains("bad_hashid"), "{bad}");
    let decrypt = async |token: &str| {
        let call = format!("token_ds:decrypt_token(<<\"{token}\">>).");
        server.value(&call).await
    };
    assert_eq!(
        decrypt(TOKEN_OF_13238).await,
        "{error,705,<<\"Please refresh token\">>,\n       #{expire_at => 1668569716409,uid => 13238}}"
    );
    for token in [FOREIGN, "x.y.z", ""] {
        assert_eq!(
            decrypt(token).await,
            "{error,706,<<\"Invalid token\">>,#{}}"
        );
    }
    let round = "T = token_ds:encrypt_refreshtoken(513244), {ok, 513244, Ms, <<\"rtk\">>} = token_ds:decrypt_token(T), Ms > imboy_dt:millisecond().";
    assert_eq!(server.value(round).await, "true");
    let round = "{ok, 1, _, <<\"tk\">>} = token_ds:decrypt_token(token_ds:encrypt_token(1)), fine.";
    assert_eq!(server.value(round).await, "fine");
}
