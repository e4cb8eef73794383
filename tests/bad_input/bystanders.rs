use super::support::{CAROL, Client, Server, User};

/// Two more users, whose messages go their way whatever others do.
pub(crate) struct Bystanders {
    sender: Client,
    reader: Client,
    carol: Client,
    count: usize,
}

const SENDER: u64 = 13_238;
const READER: u64 = 513_244;

impl Bystanders {
    pub(crate) async fn of(server: &Server) -> Self {
        Self {
            sender: server.login(SENDER, "bystander").await,
            reader: server.login(READER, "bystander").await,
            carol: server.login(CAROL, "watching").await,
            count: 0,
        }
    }

    /// One message the whole way, on the connections of the beginning.
    pub(crate) async fn go_on(&mut self) {
        self.count += 1;
        let id = format!("bystander-{}", self.count);
        self.sender.send_c2c(&id, READER, "as ever").await;
        self.sender.accepted(&id).await;
        self.reader.takes(&id).await;
        self.sender.delivered(&id).await;
        assert!(self.sender.take_aside().is_empty());
        assert!(self.reader.take_aside().is_empty());
    }

    /// What became of a message that Carol may have sent on another connection.
    pub(crate) async fn status_of_carol(&mut self, to: u64, id: &str) -> String {
        let of = [(User::new(to).name, id.to_owned())];
        let states = self.carol.try_status(&of).await;
        states.expect("the connection is gone").remove(0)
    }
}
