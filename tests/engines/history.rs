//! Parts of a conversation, over any engine.

use yizhan::id::{Cid, Seq};
use yizhan::message::chat::Side;
use yizhan::message::look::{Chats, Found, History, Look};
use yizhan::message::{Answer, Op};
use yizhan::store::ledger::found;
use yizhan::store::{Batch, record};

use super::desk::{ALICE, BOB, Desk, ROOMY, START, send};
use super::house::House;

/// The one conversation there is.
const CHAT: Cid = Cid(1);

impl<H: House> Desk<H> {
    fn history(&self, side: Side, limit: usize) -> History {
        let look = Look::History {
            cid: CHAT,
            first: 1,
            head: Seq::MAX,
            side,
            limit,
            max_bytes: usize::MAX,
        };
        match found(&*self.engine(), &look, self.now, 0, 0).unwrap() {
            Found::History(history) => history,
            other => panic!("{other:?}"),
        }
    }

    /// All places, asked for in pages from the newest on.
    fn history_downwards(&self, limit: usize) -> Vec<Seq> {
        let (mut cseqs, mut side) = (Vec::new(), Side::Newest);
        loop {
            let page = self.history(side, limit);
            cseqs.extend(page.messages.iter().rev().map(|message| message.cseq));
            if !page.more {
                cseqs.reverse();
                return cseqs;
            }
            let next = Side::Before(page.next);
            assert_ne!(side, next, "the same page again");
            side = next;
        }
    }

    /// The same from the oldest on.
    fn history_upwards(&self, limit: usize) -> Vec<Seq> {
        let (mut cseqs, mut after) = (Vec::new(), 0);
        loop {
            let page = self.history(Side::After(after), limit);
            cseqs.extend(page.messages.iter().map(|message| message.cseq));
            if !page.more {
                return cseqs;
            }
            assert!(page.next > after, "the same page again");
            after = page.next;
        }
    }

    fn chats(&self) -> Chats {
        let look = Look::Chats {
            uid: BOB,
            before: None,
            limit: 10,
            max_bytes: usize::MAX,
        };
        match found(&*self.engine(), &look, self.now, 0, 0).unwrap() {
            Found::Chats(chats) => chats,
            other => panic!("{other:?}"),
        }
    }

    fn loses(&self, cseqs: impl IntoIterator<Item = Seq>) {
        let mut batch = Batch::default();
        for cseq in cseqs {
            batch.delete(record::history_key(CHAT, cseq));
        }
        self.engine().apply(batch).unwrap();
    }
}

pub(crate) fn a_hole_in_a_conversation_hides_nothing_that_is_older<H: House>() {
    let mut desk = Desk::<H>::open(ROOMY);
    desk.fill(60);
    desk.loses((5..=20).chain(22..=58).chain([60]));
    let there: Vec<Seq> = (1..=4).chain([21, 59]).collect();
    for limit in [1, 3, 50] {
        assert_eq!(desk.history_downwards(limit), there, "{limit} at once");
        assert_eq!(desk.history_upwards(limit), there, "{limit} at once");
    }
    desk.loses([21, 59]);
    let last = desk.chats().chats.remove(0).last.unwrap();
    assert_eq!(last.cseq, 4);
    desk.loses(1..=4);
    assert!(desk.history_downwards(3).is_empty());
    assert_eq!(desk.chats().chats.remove(0).last, None);
}

pub(crate) fn what_is_over_and_still_there_hides_nothing_that_is_older<H: House>() {
    let mut desk = Desk::<H>::open(ROOMY);
    desk.fill(4);
    for number in 5..=20 {
        let Op::Append(mut append) = send(ALICE, BOB, &format!("m{number}"), "hello") else {
            panic!("no message");
        };
        append.draft.expires_at = Some(START + 10);
        let answer = desk.ask(Op::Append(append));
        assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
    }
    desk.now = START + 10;
    let empty = desk.history(Side::Newest, 1);
    assert_eq!((empty.messages.len(), empty.more), (0, true));
    let page = desk.history(Side::Before(empty.next), 1);
    assert_eq!(page.messages[0].cseq, 4);
    assert_eq!(desk.history_downwards(1), [1, 2, 3, 4]);
}
