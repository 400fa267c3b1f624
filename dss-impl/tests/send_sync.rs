//! What may cross threads, and what may not.
#![cfg(not(loom))]

use dss_impl::adapter::Adapter;
use dss_impl::delivery::{Announced, DeliverError, Failure, Outcome, Parcel};
use dss_impl::dispatcher::{Dispatcher, RegisterError, Replying, Taken, Ticket, UnregisterError};
use dss_impl::handle::Handle;
use dss_impl::library::{LibraryInfo, Registration};
use dss_impl::notifier::{Notifier, UdpNotifier};
use dss_impl::states::StateRef;

const fn send_and_sync<T: Send + Sync + ?Sized>() {}
const fn copy<T: Copy + Send + Sync + 'static>() {}

const _: () = {
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
    copy::<Taken>();
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
