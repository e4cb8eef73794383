//! Pids name what really runs.

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::support::{ADMIN_TOKEN, ALICE, BOB, ONCE, Server, until};

#[tokio::test]
async fn devices_and_deliveries_have_pids_that_live_and_die_with_them() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "laptop").await;
    let mut bob = server.login(BOB, "phone").await;
    alice.send_c2c("m1", BOB, "hello").await;
    bob.receives("m1").await;
    let find = "[{device, D}] = [{device, D} || D <- processes(), {did, <<\"phone\">>} =:= process_info(D, did), {kind, device} =:= process_info(D, kind)], {links, [M]} = process_info(D, links), ";
    let told = "[process_info(M, message), process_info(M, to), process_info(M, links) =:= {links, [D]}, process_info(D, uid), process_info(D, dtype), is_process_alive(D), is_process_alive(M), maps:get(attempt, element(2, process_info(M, state)))].";
    assert_eq!(
        server.value(&format!("{find}{told}")).await,
        "[{message,<<\"m1\">>},\n {to,<<\"7b4v1b\">>},\n true,\n {uid,108},\n {dtype,<<\"test\">>},\n true,true,1]"
    );
    let pids = server.value(&format!("{find} {{D, M}}.")).await;
    assert!(pids.starts_with("{<0.") && pids.ends_with(".0>}"), "{pids}");
    let observed = server.observe().await;
    assert_eq!(observed["deliveries"]["total"], 1);
    let delivery = &observed["deliveries"]["rows"][0];
    assert_eq!(
        (&delivery["id"], &delivery["attempt"], &delivery["of"]),
        (&json!("m1"), &json!(1), &json!(2))
    );
    bob.ack_text("m1").await;
    bob.ack_ok("m1").await;
    let numbers: Vec<&str> = pids.trim_matches(['{', '}']).split(',').collect();
    let pid = |at: usize| format!("list_to_pid(\"{}\")", numbers[at]);
    assert_eq!(
        server
            .value(&format!("is_process_alive({}).", pid(1)))
            .await,
        "false"
    );
    assert_eq!(
        server.value(&format!("process_info({}).", pid(1))).await,
        "undefined"
    );
    assert_eq!(
        server
            .value(&format!("is_process_alive({}).", pid(0)))
            .await,
        "true"
    );
    bob.leave().await;
    until("the device is gone", async || {
        server
            .value(&format!("is_process_alive({}).", pid(0)))
            .await
            == "false"
    })
    .await;
}

#[tokio::test]
async fn a_device_takes_texts_and_a_shell_takes_anything() {
    let server = Server::start(&[]).await;
    let mut bob = server.login(BOB, "phone").await;
    let sends = "#{pid := P} = hd(yizhan:online(108)), P ! <<\"from the shell\">>, P ! {not_text, 1}, P ! \"and more\".";
    assert_eq!(server.value(sends).await, "\"and more\"");
    assert_eq!(bob.text().await, "from the shell");
    assert_eq!(bob.text().await, "and more");
    bob.heard_nothing_else().await;
    let own = "self() ! {a, 1}, self() ! b, receive b -> got_b end.";
    assert_eq!(server.value(own).await, "got_b");
    let flushed = server.shell("self() ! {a, 1}, flush().").await;
    assert_eq!(flushed, "Shell got {a,1}\nok\n");
    assert_eq!(
        server
            .value("receive x -> x after 10 -> nothing end.")
            .await,
        "nothing"
    );
    assert_eq!(
        server.raises("nobody ! hello.").await.lines().next(),
        Some("** exception error: bad argument")
    );
    assert_eq!(server.value("pid(0, 999999, 0) ! hello.").await, "hello");
}

#[tokio::test]
async fn shells_leave_messages_with_each_other_and_a_dry_run_leaves_none() {
    let server = Server::start(&[]).await;
    let at = |session: &str, text: &str| {
        let call = server.shell_as(ADMIN_TOKEN, text);
        call.header("x-session", session)
    };
    let pid = at("day", "pid_to_list(self()).").send().await.body;
    let sends = format!("list_to_pid({}) ! {{from, night}}.", pid.trim());
    let dry = at("night", &sends)
        .header("x-dry-run", "1")
        .send()
        .await
        .body;
    assert!(
        dry.starts_with("dry run: would leave a message with the shell <0."),
        "{dry}"
    );
    assert_eq!(at("day", "flush().").send().await.body, "ok\n");
    assert_eq!(at("night", &sends).send().await.body, "{from,night}\n");
    let flushed = at("day", "flush().").send().await.body;
    assert_eq!(flushed, "Shell got {from,night}\nok\n");
}

#[tokio::test]
async fn the_parts_of_the_server_are_registered() {
    let server = Server::start(&[]).await;
    let names = server.value("registered().").await;
    for name in ["yizhan", "committer", "readers", "public", "admin"] {
        assert!(names.contains(name), "{names}");
        assert_eq!(
            server
                .value(&format!("is_process_alive(whereis({name}))."))
                .await,
            "true"
        );
    }
    assert_eq!(server.value("whereis(nobody).").await, "undefined");
    assert_eq!(
        server
            .value("element(2, process_info(self(), kind)).")
            .await,
        "shell"
    );
    assert_eq!(
        server
            .value(
                "{message_queue_len, 0} = process_info(whereis(committer), message_queue_len), ok."
            )
            .await,
        "ok"
    );
    let shown = server.shell("i().").await;
    assert!(
        shown.contains("committer") && shown.ends_with("ok\n"),
        "{shown}"
    );
    for item in [
        "process_count",
        "schedulers",
        "otp_release",
        "system_version",
    ] {
        server.value(&format!("erlang:system_info({item}).")).await;
    }
    let memory = server.value("erlang:memory(total) > 1000000.").await;
    assert_eq!(memory, "true");
    let help = server.shell("help(). help(yizhan).").await;
    assert!(
        help.contains("yizhan:why(MsgId)") && help.contains("Commands:"),
        "{help}"
    );
}

#[tokio::test]
async fn a_relay_is_a_process_that_tells_what_passed_and_ends_by_exit() {
    let server = Server::start(&[]).await;
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/live_room", target.local_addr().unwrap());
    let started = server
        .value(&format!("rtmp_proxy:run(0, <<\"{url}\">>)."))
        .await;
    let pid = started
        .strip_prefix("{ok,")
        .and_then(|rest| rest.strip_suffix('}'));
    let pid = format!("list_to_pid(\"{}\")", pid.expect(&started));
    let item = async |name: &str| {
        let asked = format!("maps:get({name}, element(2, process_info({pid}, state))).");
        server.value(&asked).await
    };
    let listens = item("listens_on").await;
    let listens = listens.trim_matches(['<', '>', '"']);
    let mut client = TcpStream::connect(listens).await.unwrap();
    let (mut relayed, _) = target.accept().await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut client, b"\x03hello")
        .await
        .unwrap();
    let mut bytes = [0; 6];
    relayed.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"\x03hello");
    until("it is counted", async || item("bytes_up").await == "6").await;
    assert_eq!(server.value(&format!("exit({pid}, normal).")).await, "true");
    assert_eq!(
        client.read(&mut bytes).await.unwrap_or(0),
        0,
        "the client is cut"
    );
    until("it is dead", async || {
        server.value(&format!("is_process_alive({pid}).")).await == "false"
    })
    .await;
    let bad = server
        .raises("rtmp_proxy:run(1935, <<\"http://example\">>).")
        .await;
    assert!(bad.contains("bad_url"), "{bad}");
}
