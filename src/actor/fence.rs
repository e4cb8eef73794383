//! Waits until the devices of a user have opened every letter that was left for them.

use crate::id::Uid;

use super::device::Services;
use super::mailroom::Wake;

/// Returns when no process of this user has an unopened letter that was left before.
///
/// For the few requests whose answer promises it: nothing on the way of a message waits like this.
pub async fn opened(services: &Services, uid: Uid) {
    for device in services.registry.of_user(uid) {
        // Whoever left a letter may not have come to wake the device yet. One that ends meanwhile opens nothing more.
        let _ = device.addr().send(Wake).await;
    }
}
