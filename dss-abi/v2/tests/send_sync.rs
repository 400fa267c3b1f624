//! Which types may go to other threads.

use dss_abi_v2::*;

fn both<T: Send + Sync + 'static>() {}

#[test]
fn what_threads_share() {
    both::<Library>();
    both::<Callback>();
    both::<Hold>();
    both::<Ticket>();
    both::<Delivered>();
    both::<DeliveredMany>();
    both::<Limits>();
    both::<Policy>();
    both::<Deadline>();
    both::<Value>();
    both::<AnyObject>();
    both::<Request<Rest>>();
    both::<Delivery>();
    both::<DeliverError>();
    both::<Refused>();
    both::<RequestError>();
    both::<Failure>();
    both::<LibraryError>();
    both::<ValueError>();
    both::<Error>();
}
