use super::*;

const MINUTE: u64 = 60_000;
const EVENT_BYTES: usize = 100;
const OK: Input = answer(200);

const fn answer(status: u16) -> Input {
    Input::Answered {
        status,
        retry_after_ms: None,
    }
}

/// A machine with a queue of the numbers that are events, a receiver, and a clock that is turned from deadline to deadline.
struct World {
    machine: Machine,
    now: u64,
    chance: f64,
    queue: Vec<u64>,
    batch: usize,
    /// What is in the request that awaits its answer, and every request so far.
    posted: Option<Vec<u64>>,
    requests: Vec<(u64, Vec<u64>)>,
    /// What the receiver has kept, each number once.
    has: Vec<u64>,
    cursor: u64,
    reports: Vec<Report>,
    readable: bool,
}

impl World {
    fn new(queue: impl IntoIterator<Item = u64>) -> World {
        let mut world = World {
            machine: Machine::new(Backoff::default(), 1 << 20, 0),
            now: 1_000_000,
            chance: 1.0,
            queue: queue.into_iter().collect(),
            batch: 2,
            posted: None,
            requests: Vec::new(),
            has: Vec::new(),
            cursor: 0,
            reports: Vec::new(),
            readable: true,
        };
        world.obey();
        world
    }

    fn handle(&mut self, input: Input) {
        self.machine.handle(self.now, self.chance, input);
        self.obey();
    }

    fn obey(&mut self) {
        while let Some(effect) = self.machine.effect() {
            match effect {
                Effect::Read {
                    after,
                    up_to,
                    max_bytes,
                } => {
                    let page = self.page(after, up_to, max_bytes);
                    self.machine.handle(self.now, self.chance, page);
                }
                Effect::Post => {
                    assert!(self.machine.is_sending());
                    let batch = self.posted.clone();
                    self.requests.push((self.now, batch.unwrap_or_default()));
                }
                Effect::Advance(page) => {
                    assert!(page.up_to > self.cursor, "the cursor only rises");
                    self.cursor = page.up_to;
                }
                Effect::Report(report) => self.reports.push(report),
            }
        }
        assert_eq!(self.machine.cursor(), self.cursor);
    }

    fn page(&mut self, after: u64, up_to: Option<u64>, max_bytes: usize) -> Input {
        if !self.readable {
            return Input::Unreadable;
        }
        let within = |n: &&u64| **n > after && up_to.is_none_or(|up_to| **n <= up_to);
        let fit = (max_bytes / EVENT_BYTES).clamp(1, self.batch);
        let numbers: Vec<u64> = self
            .queue
            .iter()
            .filter(within)
            .take(fit)
            .copied()
            .collect();
        let page = numbers.last().map(|last| Page {
            up_to: *last,
            events: numbers.len(),
            bytes: numbers.len() * EVENT_BYTES,
        });
        self.posted = Some(numbers);
        Input::Page(page)
    }

    /// The receiver has what was posted and answers; what it has already it drops.
    fn accepts(&mut self) {
        for number in self.posted.take().unwrap_or_default() {
            if !self.has.contains(&number) {
                self.has.push(number);
            }
        }
        self.handle(OK);
    }

    /// Turns the clock to the next attempt, and returns how long that took.
    fn wait(&mut self) -> u64 {
        let due = self.machine.due().unwrap_or(self.now);
        let waited = due - self.now;
        let posts = self.requests.len();
        self.now = due - 1;
        self.handle(Input::Tick);
        assert_eq!(self.requests.len(), posts, "not before it is due");
        self.now = due;
        self.handle(Input::Tick);
        waited
    }

    fn batches(&self) -> Vec<&[u64]> {
        self.requests.iter().map(|(_, batch)| &**batch).collect()
    }
}

#[test]
fn an_idle_queue_is_sent_when_it_is_rung_and_in_order() {
    let mut world = World::new([]);
    assert!(world.requests.is_empty() && world.machine.due().is_none());
    world.queue = vec![1, 2, 3];
    world.handle(Input::Rung);
    world.accepts();
    world.accepts();
    assert_eq!(world.batches(), [&[1, 2][..], &[3]]);
    assert_eq!((world.cursor, world.machine.is_sending()), (3, false));
    assert!(world.reports.is_empty());
}

#[test]
fn one_batch_is_on_its_way_at_a_time() {
    let mut world = World::new([1, 2, 3, 4]);
    for _ in 0..3 {
        world.handle(Input::Rung);
        world.handle(Input::Tick);
    }
    assert_eq!(world.batches(), [[1, 2]]);
    assert_eq!(world.cursor, 0);
}

#[test]
fn what_is_rung_during_a_request_is_sent_after_it() {
    let mut world = World::new([1]);
    world.queue.push(2);
    world.handle(Input::Rung);
    world.accepts();
    assert_eq!(world.batches(), [[1], [2]]);
}

#[test]
fn pauses_double_from_a_second_to_five_minutes_and_stay_there() {
    let mut world = World::new([1]);
    let mut waited = Vec::new();
    for _ in 0..11 {
        world.handle(answer(500));
        waited.push(world.wait() / 1000);
    }
    assert_eq!(waited, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    for _ in 0..1_000 {
        world.handle(answer(500));
        assert_eq!(world.wait(), 300_000);
    }
}

#[test]
fn a_pause_lies_between_half_of_a_step_and_all_of_it() {
    for (chance, waited) in [(0.0, 500), (0.5, 750), (1.0, 1_000), (7.0, 1_000)] {
        let mut world = World::new([1]);
        world.chance = chance;
        world.handle(Input::Failed(Failure::Connect));
        assert_eq!(world.wait(), waited);
    }
}

#[test]
fn a_ring_does_not_shorten_a_pause() {
    let mut world = World::new([1]);
    world.handle(answer(500));
    world.handle(Input::Rung);
    assert_eq!(world.requests.len(), 1);
    world.wait();
    assert_eq!(world.requests.len(), 2);
}

#[test]
fn retry_after_is_obeyed_within_a_second_and_five_minutes() {
    let cases = [
        (429, Some(7_000), 7_000),
        (503, Some(7_000), 7_000),
        (503, Some(0), 1_000),
        (503, Some(u64::MAX), 300_000),
        (503, None, 1_000),
        (500, Some(7_000), 1_000),
    ];
    for (status, retry_after_ms, waited) in cases {
        let mut world = World::new([1]);
        world.handle(Input::Answered {
            status,
            retry_after_ms,
        });
        assert_eq!(world.wait(), waited, "{status} {retry_after_ms:?}");
    }
}

#[test]
fn the_receiver_that_asks_for_less_after_many_failures_gets_less() {
    let mut world = World::new([1]);
    for _ in 0..9 {
        world.handle(answer(500));
        world.wait();
    }
    world.handle(Input::Answered {
        status: 503,
        retry_after_ms: Some(2_000),
    });
    assert_eq!(world.wait(), 2_000);
}

#[test]
fn nothing_but_success_moves_the_cursor() {
    for status in [
        100, 199, 301, 302, 307, 400, 401, 404, 408, 410, 429, 500, 503, 599,
    ] {
        let mut world = World::new([1, 2]);
        world.handle(answer(status));
        world.wait();
        assert_eq!(world.cursor, 0, "{status}");
        assert_eq!(world.batches(), [[1, 2], [1, 2]], "{status}");
    }
    for status in [200, 201, 202, 204, 299] {
        let mut world = World::new([1, 2]);
        world.handle(answer(status));
        assert_eq!(world.cursor, 2, "{status}");
    }
}

#[test]
fn the_same_batch_is_sent_again_though_more_has_come() {
    let mut world = World::new([1]);
    world.queue.extend([2, 3]);
    world.handle(Input::Failed(Failure::Timeout));
    world.wait();
    world.accepts();
    assert_eq!(world.batches(), [&[1][..], &[1], &[2, 3]]);
}

#[test]
fn what_was_dropped_meanwhile_is_passed_over() {
    let mut world = World::new([1, 2]);
    world.handle(answer(500));
    world.queue = vec![2, 9];
    world.wait();
    world.accepts();
    world.handle(answer(500));
    world.queue = vec![30, 31];
    world.wait();
    world.accepts();
    assert_eq!(world.batches(), [&[1, 2][..], &[2], &[9], &[30, 31]]);
    assert_eq!(world.cursor, 31);
}

#[test]
fn a_queue_that_was_dropped_as_a_whole_is_idle() {
    let mut world = World::new([1, 2]);
    world.handle(answer(500));
    world.queue.clear();
    world.wait();
    assert_eq!(
        (world.machine.due(), world.machine.is_sending()),
        (None, false)
    );
    world.queue.push(7);
    world.handle(Input::Rung);
    world.accepts();
    assert_eq!(world.has, [7]);
}

#[test]
fn what_the_receiver_does_not_want_is_passed_over_without_a_request() {
    let mut machine = Machine::new(Backoff::default(), 1 << 20, 4);
    let read = |after| Effect::Read {
        after,
        up_to: None,
        max_bytes: 1 << 20,
    };
    assert_eq!(machine.effect(), Some(read(4)));
    let page = Page {
        up_to: 9,
        events: 0,
        bytes: 2,
    };
    machine.handle(0, 0.0, Input::Page(Some(page)));
    assert_eq!(machine.effect(), Some(Effect::Advance(page)));
    assert_eq!(machine.effect(), Some(read(9)));
    assert_eq!(machine.effect(), None);
}

#[test]
fn a_receiver_that_fails_for_ten_minutes_and_comes_back_has_every_event_once_by_id_and_in_order() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = World::new(1..=5);
        world.batch = random.usize(1..=4);
        let (begin, mut made) = (world.now, 5);
        while world.now < begin + 10 * MINUTE {
            // Events go on, each with its ring; numbers may have gaps.
            for _ in 0..random.usize(0..4) {
                made += random.u64(1..3);
                world.queue.push(made);
                world.handle(Input::Rung);
            }
            // It may well have taken what it did not confirm.
            if random.bool() {
                for number in world.posted.clone().unwrap_or_default() {
                    if !world.has.contains(&number) {
                        world.has.push(number);
                    }
                }
            }
            world.chance = random.f64();
            world.handle(match random.u8(0..4) {
                0 => Input::Failed(Failure::Connect),
                1 => Input::Failed(Failure::Timeout),
                2 => answer(500),
                _ => answer(404),
            });
            assert_eq!(world.cursor, 0);
            assert!(world.wait() <= 300_000);
        }
        while world.machine.is_sending() {
            world.accepts();
        }
        assert_eq!(world.has, world.queue, "seed {seed}");
        assert_eq!(Some(&world.cursor), world.queue.last(), "seed {seed}");
        // It comes back at most five minutes after the receiver did, and asks some twelve times in ten minutes.
        assert!(world.requests.len() <= 30 + made as usize, "seed {seed}");
    }
}

#[test]
fn a_receiver_for_whom_a_request_is_too_long_gets_shorter_ones_from_then_on() {
    let mut world = World::new(1..=20);
    world.handle(OK);
    world.batch = 8;
    world.handle(OK);
    let begin = world.requests.len() - 1;
    for _ in 0..2 {
        world.handle(answer(413));
        world.wait();
    }
    while world.machine.is_sending() {
        world.accepts();
    }
    let lengths: Vec<usize> = world.batches()[begin..].iter().map(|b| b.len()).collect();
    assert_eq!(lengths, [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]);
    assert_eq!(world.cursor, 20);
    // One that is alone cannot be made shorter.
    let mut world = World::new([1]);
    world.handle(answer(413));
    world.wait();
    world.accepts();
    assert_eq!(world.batches(), [[1], [1]]);
}

#[test]
fn after_a_success_the_next_failure_waits_a_second_again() {
    let mut world = World::new([1, 2, 3]);
    for _ in 0..5 {
        world.handle(answer(500));
        world.wait();
    }
    assert_eq!(world.machine.attempts(), 5);
    world.accepts();
    assert_eq!(world.machine.attempts(), 0);
    world.handle(answer(500));
    assert_eq!(world.wait(), 1_000);
}

#[test]
fn the_operator_is_told_once_for_each_change() {
    let mut world = World::new([1]);
    for input in [
        answer(500),
        answer(500),
        answer(404),
        answer(404),
        Input::Failed(Failure::Connect),
        answer(429),
        answer(408),
        answer(302),
        Input::Failed(Failure::Tls),
    ] {
        world.handle(input);
        world.wait();
    }
    world.accepts();
    let failing = |trouble, is_grave| Report::Failing { trouble, is_grave };
    assert_eq!(
        world.reports,
        [
            failing(Trouble::Status(500), false),
            failing(Trouble::Status(404), true),
            failing(Trouble::Failed(Failure::Connect), false),
            failing(Trouble::Status(429), false),
            failing(Trouble::Status(408), false),
            failing(Trouble::Status(302), true),
            failing(Trouble::Failed(Failure::Tls), true),
            Report::Recovered { attempts: 9 },
        ]
    );
}

#[test]
fn a_queue_that_cannot_be_read_is_tried_again() {
    let mut world = World::new([]);
    world.queue.push(1);
    world.readable = false;
    world.handle(Input::Rung);
    assert!(world.requests.is_empty());
    assert_eq!(world.wait(), 1_000);
    world.readable = true;
    assert_eq!(world.wait(), 2_000);
    world.accepts();
    assert_eq!(world.has, [1]);
    assert_eq!(world.reports.len(), 2);
    assert_eq!(world.reports[1], Report::Recovered { attempts: 2 });
}

#[test]
fn an_answer_that_nobody_awaits_changes_nothing() {
    let mut world = World::new([1]);
    world.accepts();
    world.handle(OK);
    world.handle(answer(500));
    world.handle(Input::Page(None));
    assert_eq!((world.cursor, world.machine.due()), (1, None));
    assert!(world.reports.is_empty());
}
