//! Which types may go to other threads.

use dss_abi_v2::*;

fn send<T: Send + 'static>() {}
fn sync<T: Sync>() {}

#[test]
fn what_threads_share() {
    send::<Library>();
    sync::<Library>();
    send::<Callback>();
    sync::<Callback>();
    send::<Value>();
    send::<Request<Rest>>();
    sync::<Request<Rest>>();
    send::<Refused>();
    sync::<Refused>();
    send::<RequestError>();
    sync::<RequestError>();
    send::<Error>();
    sync::<Error>();
    send::<ValueError>();
    sync::<ValueError>();
    send::<AnyObject>();
    sync::<AnyObject>();
}
