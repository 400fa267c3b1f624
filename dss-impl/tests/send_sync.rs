//! What may cross threads, and what may not.
#![cfg(not(loom))]

use dss_impl::adapter::Adapter;
use dss_impl::delivery::{Announced, DeliverError, Failure, Outcome, Parcel};
use dss_impl::dispatcher::{
    Dispatcher, Dispatching, RegisterError, Replying, Taken, Ticket, UnregisterError,
};
use dss_impl::handle::Handle;
use dss_impl::library::{LibraryInfo, Registration};
use dss_impl::notifier::{Notifier, UdpNotifier};
use dss_impl::states::StateRef;

const fn send_and_sync<T: Send + Sync + ?Sized>() {}
const fn copy<T: Copy + Send + Sync + 'static>() {}

/// Has one `yes` for a type that is not `Send`, and two, which is an error where it is used, for one that is.
trait NotSend<A> {
    const YES: () = ();
}
impl<T: ?Sized> NotSend<()> for T {}
impl<T: ?Sized + Send> NotSend<u8> for T {}

const _: () = {
    // What the Lua thread has in hand stays there: it is what makes `decoded` and `take_next` sound.
    let () = <Taken as NotSend<_>>::YES;
    let () = <Dispatching as NotSend<_>>::YES;
    send_and_sync::<Dispatcher>();
    send_and_sync::<StateRef>();
    send_and_sync::<UdpNotifier>();
    send_and_sync::<dyn Notifier>();
    send_and_sync::<Registration>();
    send_and_sync::<LibraryInfo>();
    send_and_sync::<&'static dyn Adapter>();
    send_and_sync::<Failure>();
    copy::<Handle>();
    copy::<Parcel>();
    copy::<Replying>();
    copy::<Ticket>();
    copy::<StateRef>();
    copy::<Announced>();
    copy::<Outcome>();
    copy::<DeliverError>();
    copy::<RegisterError>();
    copy::<UnregisterError>();
};

#[test]
fn the_assertions_above_compile() {}
