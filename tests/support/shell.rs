use serde_json::Value;

use super::{ADMIN_TOKEN, Answer, Call, Server};

/// The operator's shell over HTTP.
impl Server {
    /// What the shell prints for this.
    pub async fn shell(&self, text: &str) -> String {
        let answer = self.shell_as(ADMIN_TOKEN, text).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// What the shell prints for this as its last value; it may print nothing else.
    pub async fn value(&self, text: &str) -> String {
        let answer = self.shell_json(text).await;
        let value = answer["value"].as_str();
        let value = value.unwrap_or_else(|| panic!("{text}\n{}", answer["error"]));
        value.to_owned()
    }

    /// What the shell prints instead of a value.
    pub async fn raises(&self, text: &str) -> String {
        let answer = self.shell_json(text).await;
        let error = answer["error"].as_str();
        let error = error.unwrap_or_else(|| panic!("{text}\n{}", answer["value"]));
        error.to_owned()
    }

    async fn shell_json(&self, text: &str) -> Value {
        let call = self.shell_as(ADMIN_TOKEN, text);
        let answer: Answer = call.header("accept", "application/json").send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// A request to the shell with this token.
    pub fn shell_as(&self, token: &str, text: &str) -> Call {
        Call::post(self.admin, "/repl", text).bearer(token)
    }

    /// One snapshot of every actor.
    pub async fn observe(&self) -> Value {
        let answer = Call::get(self.admin, "/observe").bearer(ADMIN_TOKEN);
        let answer = answer.send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let mut whole: Value = serde_json::from_str(&answer.body).unwrap();
        whole["payload"].take()
    }
}
