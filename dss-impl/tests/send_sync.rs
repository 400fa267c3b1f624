//! What may cross threads, and what may not.
#![cfg(not(loom))]

use dss_abi::{Offer, Refused, Rendezvous, RevisionStatus, Text};
use dss_abi_v1 as v1;
use dss_impl::delivery::{Announced, DeliverError};
use dss_impl::dispatcher::{
    Calling, Dispatcher, Dispatching, PendingId, RegisterError, Replying, Taken, UnregisterError,
};
use dss_impl::handle::Handle;
use dss_impl::library::{LibraryInfo, Registration};
use dss_impl::notifier::{Notifier, UdpNotifier};
use dss_impl::outcome::{Failure, Outcome};
use dss_impl::payload::Payload;
use dss_impl::port::Adapter;
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
    // What the Lua thread has in hand stays there: it is what makes `decoded` and `take_next_into` sound.
    let () = <Taken as NotSend<_>>::YES;
    let () = <Dispatching as NotSend<_>>::YES;
    let () = <Replying as NotSend<_>>::YES;
    let () = <Calling as NotSend<_>>::YES;
    send_and_sync::<Dispatcher>();
    send_and_sync::<StateRef>();
    send_and_sync::<UdpNotifier>();
    send_and_sync::<dyn Notifier>();
    send_and_sync::<Registration>();
    send_and_sync::<LibraryInfo>();
    send_and_sync::<&'static dyn Adapter>();
    send_and_sync::<Failure>();
    copy::<Handle>();
    copy::<Payload>();
    copy::<PendingId>();
    copy::<StateRef>();
    copy::<Announced>();
    copy::<Outcome>();
    copy::<DeliverError>();
    copy::<RegisterError>();
    copy::<UnregisterError>();
};

// What library authors depend on.
const _: () = {
    let () = <v1::LuaState as NotSend<_>>::YES;
    let () = <v1::contract::RawLua as NotSend<_>>::YES;
    copy::<Text>();
    copy::<Offer>();
    copy::<RevisionStatus>();
    copy::<Refused>();
    send_and_sync::<Rendezvous>();
    copy::<v1::Dss>();
    copy::<v1::Library>();
    copy::<v1::Announced>();
    copy::<v1::DeliverError>();
    copy::<v1::RegisterError>();
    copy::<v1::UnregisterError>();
    copy::<v1::contract::Code>();
    send_and_sync::<v1::LibraryId>();
    send_and_sync::<v1::AttachError>();
    send_and_sync::<v1::Failure>();
    send_and_sync::<v1::Answer<String>>();
    send_and_sync::<v1::Refused<String>>();
    send_and_sync::<v1::contract::ServiceObject>();
    send_and_sync::<dss_abi_c1v0::dss_api_1v0_t>();
};

#[test]
fn the_assertions_above_compile() {}
