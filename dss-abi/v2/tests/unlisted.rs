//! A library that gives Lua an object whose type it does not list is refused when it is opened, and by name.

use dss_abi::{Answer, AnswerBuffer, REFUSED};
use dss_abi_v2::contract::Opening;
use dss_abi_v2::{library, object, Library, ObjectRef, Result};

extern "C" {
    fn dss_library_v2_open(opening: *const Opening, answer: *mut Answer) -> i32;
}

library! {
    name: "houses",
    version: "1.0.0",
    requires: "^2.1",
    functions: { build },
    objects: [House],
}

struct House;
object! { House as "house", methods: { rooms, into } }

struct Room;
object! { Room as "room" }

fn build(_: &Library) -> House {
    House
}

impl House {
    fn rooms(&self, _: &Library) -> Result<(Room2, Option<Vec<Room>>)> {
        Ok((Room2, None))
    }

    fn into(&self, _: &Library, _room: ObjectRef<'_, Room>) {}
}

/// Something that is a value, and no object.
struct Room2;
impl dss_abi_v2::IntoValue for Room2 {
    fn into_value(self) -> Result<dss_abi_v2::Value, dss_abi_v2::ValueError> {
        Ok(dss_abi_v2::Value::Nil)
    }
}

#[test]
fn it_is_refused_when_it_is_opened() {
    let opening = Opening { size: Opening::SIZE_1_0, reserved: 0, rendezvous: std::ptr::null(), state: 1 };
    let mut answer = AnswerBuffer::new();
    // SAFETY: both live through the call.
    let status = unsafe { dss_library_v2_open(&opening, answer.answer()) };
    assert_eq!(status, REFUSED);
    assert_eq!(
        answer.sentence(),
        "houses: 'house:rooms' takes or returns 'room' objects, but `objects` in `library!` does not list their type: add it \
         there"
    );
}
