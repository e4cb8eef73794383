//! What an operator does to a device, and a row that is owed again.

use super::*;

fn page(rows: &[Seq], scanned_to: Seq) -> Result<Page, Code> {
    Ok(Page {
        rows: rows.iter().copied().map(row).collect(),
        scanned_to,
        dead: Ranges::new(),
    })
}

#[test]
fn a_row_that_is_owed_again_while_a_page_is_read_is_not_passed_over() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.hint(1, vec![row(1)]);
    device.taken(1, 2);
    device.command(NOW, 1, Command::Ack(Ack::UpTo(1)));
    let (_, ticket) = acks(&effects(&mut device)).remove(0);
    // The next connection leaves out what is on its way to the store.
    let login = log_in(&mut device, 2, 2, Ranges::new());
    assert_eq!(reads(&login)[0].from, 2);
    device.answered(NOW, ticket, Answer::Refused(Refusal::Storage));
    effects(&mut device);
    device.page(NOW, ReadTicket::Pull(2), page(&[2], 2));
    let again = effects(&mut device);
    assert_eq!(reads(&again)[0].from, 1);
    device.page(NOW, ReadTicket::Pull(2), page(&[1, 2], 2));
    assert_eq!(delivered(&effects(&mut device)), [1, 2]);
}

#[test]
fn rows_are_sent_anew_all_of_them_or_some_and_never_the_acknowledged() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.hint(3, (1..=3).map(row).collect());
    device.taken(1, 4);
    device.command(NOW, 1, Command::Ack(Ack::Seqs(vec![2])));
    effects(&mut device);
    device.redeliver(Some(&Ranges::span(3, 3)));
    let some = effects(&mut device);
    assert_eq!(reads(&some)[0].from, 3);
    device.page(NOW, ReadTicket::Pull(1), page(&[3], 3));
    assert_eq!(delivered(&effects(&mut device)), [3]);
    device.taken(1, 5);
    device.redeliver(None);
    let all = effects(&mut device);
    assert_eq!(reads(&all)[0].from, 1);
    device.page(NOW, ReadTicket::Pull(1), page(&[1, 2, 3], 3));
    assert_eq!(delivered(&effects(&mut device)), [1, 3]);
    assert_eq!(device.walking(), 2);
    // What came anew is acknowledged as what came first; the second is on its way to the store.
    device.command(NOW, 1, Command::Ack(Ack::UpTo(3)));
    assert_eq!(acks(&effects(&mut device))[0].0, Ranges::span(1, 3));
}

#[test]
fn a_kicked_connection_is_told_nothing_more_and_may_still_acknowledge() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.hint(1, vec![row(1)]);
    effects(&mut device);
    device.kicked();
    let close = Close::Kicked;
    let ends = effects(&mut device);
    assert_eq!(
        ends[..2],
        [Effect::Discard(1), Effect::Close { epoch: 1, close }]
    );
    device.kicked();
    assert!(effects(&mut device).is_empty(), "once");
    device.hint(2, vec![row(2)]);
    assert!(delivered(&effects(&mut device)).is_empty());
    device.command(NOW, 1, Command::Ack(Ack::UpTo(1)));
    assert_eq!(acks(&effects(&mut device)).len(), 1);
}

#[test]
fn a_row_that_an_operator_has_expired_is_owed_no_more() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.hint(2, vec![row(1), row(2)]);
    effects(&mut device);
    device.expired(&Ranges::span(1, 1));
    let parked = false;
    assert!(effects(&mut device).contains(&Effect::Halt { slot: 0, parked }));
    assert_eq!((device.walking(), device.behind()), (1, 1));
    device.redeliver(None);
    assert_eq!(reads(&effects(&mut device))[0].from, 2);
}
