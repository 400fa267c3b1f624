//! The lock that is biased towards the Lua thread, as it is in `src/biased.rs`.

use dss_impl::biased_protocol::Model;
use loom::sync::Arc;
use loom::thread;

/// Two sides that each read, let others run, and write: a count that is off shows two in at once.
#[test]
fn the_owner_and_another_are_never_in_together() {
    loom::model(|| {
        let model = Arc::new(Model::new(0_usize));
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.other(|count| *count += 1))
        };
        for _ in 0..2 {
            model.owner(|count| *count += 1);
        }
        other.join().unwrap();
        assert_eq!(model.other(|count| *count), 3);
    });
}

#[test]
fn two_others_and_the_owner_are_never_in_together() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let model = Arc::new(Model::new(0_usize));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let model = Arc::clone(&model);
                thread::spawn(move || model.other(|count| *count += 1))
            })
            .collect();
        model.owner(|count| *count += 1);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(model.other(|count| *count), 3);
    });
}

/// A wake-up that is lost leaves the waiting thread asleep, which loom calls a deadlock.
#[test]
fn who_waits_for_the_owner_hears_of_it() {
    loom::model(|| {
        let model = Arc::new(Model::new(0_usize));
        let waiting = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.wait_until(|count| *count == 1))
        };
        model.owner(|count| *count += 1);
        model.notify_all();
        waiting.join().unwrap();
    });
}
