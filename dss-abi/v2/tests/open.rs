//! A whole library, opened and called as DSS does it.

mod common;
mod hello;

use std::os::raw::c_void;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use abi_stable::library::AbiHeader;
use abi_stable::std_types::{RBox, RResult, RVec};
use abi_stable::StableAbi;
use common::{raw_callback, references, world, World};
use dss_abi::{Answer, AnswerBuffer, Offer, Rendezvous, Request, Text, GRANTED, MAGIC, REFUSED};
use dss_abi_v2::contract::*;
use dss_abi_v2::value::{RawBorrowed, RawObject, RawValue};
use dss_abi_v2::{Callback, Value};
use hello::{CLOSED, DROPPED, KEPT, OPENED};

extern "C" {
    fn dss_library_v2_open(opening: *const Opening, answer: *mut Answer) -> i32;
}

/// The root that is handed out.
static ROOT: Mutex<usize> = Mutex::new(0);

unsafe extern "C" fn request(request: *const Request, answer: *mut Answer) -> i32 {
    // SAFETY: the library hands over records that live through the call, here and below.
    let request = unsafe { &*request };
    assert_eq!(request.revision, 2);
    // SAFETY: as above.
    assert_eq!(unsafe { request.wants.read() }, "^1.0.0");
    // SAFETY: as above.
    assert_eq!(unsafe { request.library.read() }, "hello");
    // SAFETY: as above.
    let answer = unsafe { &mut *answer };
    let root = *ROOT.lock().unwrap();
    if root == 0 {
        // SAFETY: the answer has a buffer.
        unsafe { answer.write_sentence("not today") };
        return REFUSED;
    }
    answer.header = (&AbiHeader::VALUE as *const AbiHeader).cast();
    answer.layout =
        (<ServiceObject as StableAbi>::LAYOUT as *const abi_stable::type_layout::TypeLayout).cast();
    answer.root = root as *const c_void;
    GRANTED
}

static RENDEZVOUS: Rendezvous = Rendezvous {
    magic: MAGIC,
    size: Rendezvous::SIZE_2_0,
    offer_size: Offer::SIZE_2_0,
    dss_version: Text::of("2.1.0"),
    lua: Text::of("Lua 5.4"),
    offers: std::ptr::null(),
    offer_count: 0,
    request,
};

fn open(size: u32, rendezvous: *const Rendezvous, state: usize) -> (i32, String) {
    let opening = Opening { size, reserved: 0, rendezvous, state };
    let mut answer = AnswerBuffer::new();
    // SAFETY: both live through the call.
    let status = unsafe { dss_library_v2_open(&opening, answer.answer()) };
    assert_eq!(status, answer.get().status);
    (status, answer.sentence())
}

/// The DSS that the tests share. One test at a time uses it.
fn dss() -> MutexGuard<'static, World> {
    static WORLD: Mutex<Option<&'static Mutex<World>>> = Mutex::new(None);
    let mut known = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    let world = *known.get_or_insert_with(|| {
        assert_eq!(open(24, std::ptr::null(), 41).0, REFUSED);
        let (status, sentence) = open(24, &RENDEZVOUS, 41);
        assert_eq!((status, sentence.as_str()), (REFUSED, "not today"));
        let world = world();
        *ROOT.lock().unwrap() = world.service as *const ServiceObject as usize;
        assert_eq!(open(24, &RENDEZVOUS, 41), (GRANTED, String::new()));
        Box::leak(Box::new(Mutex::new(world)))
    });
    drop(known);
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the library registered with.
fn context(world: &World) -> *mut c_void {
    world.dss.registered.lock().unwrap().as_ref().expect("it is registered").context
}

fn call_with(
    context: *mut c_void,
    function: &RawFunction,
    object: *mut c_void,
    values: Vec<RawValue>,
) -> Result<Vec<RawValue>, String> {
    let call = RawCall { context, handle: 42, function: function.data, object };
    // SAFETY: called as DSS does, with what the tests made.
    let returned = unsafe { (function.call.0)(&call, RVec::from(values)) };
    match returned {
        RResult::ROk(values) => Ok(values.into_vec()),
        RResult::RErr(RawValue::Bytes(sentence)) => Err(String::from_utf8_lossy(&sentence).into_owned()),
        RResult::RErr(value) => Err(format!("raised: {}", show(&[value])[0])),
    }
}

fn call(world: &World, name: &str, values: Vec<RawValue>) -> Result<Vec<RawValue>, String> {
    let registered = world.dss.registered.lock().unwrap();
    let function =
        *registered.as_ref().unwrap().functions.iter().find(|f| f.name == name).expect("it is there");
    drop(registered);
    call_with(context(world), &function, std::ptr::null_mut(), values)
}

fn error(world: &World, name: &str, values: Vec<RawValue>) -> String {
    call(world, name, values).err().expect("it fails")
}

fn string(text: &str) -> RawValue {
    RawValue::Bytes(RBox::new(RVec::from(text.as_bytes())))
}

fn show(values: &[RawValue]) -> Vec<String> {
    values
        .iter()
        .map(|value| match value {
            RawValue::Nil => "nil".to_owned(),
            RawValue::Boolean(value) => value.to_string(),
            RawValue::Integer(value) => value.to_string(),
            RawValue::Float(value) => format!("{:?}", value),
            RawValue::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            RawValue::Object(object) => object.class().name.to_string(),
            RawValue::Borrowed(object) => format!("lent {}", object.class.name),
            RawValue::List(items) => format!("[{}]", show(items).join(" ")),
            _ => "?".to_owned(),
        })
        .collect()
}

#[test]
fn a_library_registers_with_what_it_says() {
    let world = dss();
    let registered = world.dss.registered.lock().unwrap();
    let registered = registered.as_ref().unwrap();
    assert_eq!((registered.name.as_str(), registered.version.as_str()), ("hello", "1.2.3"));
    assert_eq!(registered.functions.len(), 23);
    assert_eq!(registered.functions[20].name.as_str(), "missing");
    assert_eq!(registered.functions[2].name.as_str(), "say-nothing");
    assert_eq!(registered.limits.items, 10_000);
    assert_eq!(registered.limits.bytes, 64 << 20);
    assert_eq!(registered.limits.policy, POLICY_DROP_OLDEST);
    assert!(!registered.keeps_alive);
    let classes: Vec<&str> = registered.classes.iter().map(|class| class.name.as_str()).collect();
    assert_eq!(classes, ["ticker", "other"]);
}

#[test]
fn functions_take_arguments_and_give_results() {
    let world = dss();
    assert_eq!(show(&call(&world, "greet", vec![string("Ada")]).unwrap()), ["hello Ada"]);
    assert_eq!(show(&call(&world, "add", vec![RawValue::Float(2.0), RawValue::Integer(3)]).unwrap()), ["5"]);
    assert_eq!(show(&call(&world, "say-nothing", vec![RawValue::Nil, RawValue::Nil]).unwrap()).len(), 0);
    assert_eq!(show(&call(&world, "maybe", vec![]).unwrap()), ["nil"]);
    assert_eq!(show(&call(&world, "maybe", vec![string("four")]).unwrap()), ["4"]);
    assert_eq!(show(&call(&world, "several", vec![]).unwrap()), ["true", "2", "three"]);
    assert_eq!(show(&call(&world, "count", vec![]).unwrap()), ["nil", "0"]);
    assert_eq!(
        show(&call(&world, "count", vec![string("a"), RawValue::Nil, RawValue::Nil]).unwrap()),
        ["a string", "2"]
    );
    let eight = (1..=8).map(RawValue::Integer).collect();
    assert_eq!(
        show(&call(&world, "many", eight).unwrap()),
        ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]
    );
    *world.dss.on_lua_thread.lock().unwrap() = true;
    assert_eq!(show(&call(&world, "on", vec![]).unwrap()), ["true"]);
    assert_eq!(show(&call(&world, "on_by_value", vec![]).unwrap()), ["true"]);
    assert_eq!(show(&call(&world, "on_by_value", vec![RawValue::Boolean(true)]).unwrap()), ["false"]);
    *world.dss.on_lua_thread.lock().unwrap() = false;
}

#[test]
fn names_of_the_author_are_the_authors() {
    let world = dss();
    assert_eq!(show(&call(&world, "run", vec![]).unwrap()), ["the author's run"]);
    assert_eq!(show(&call(&world, "call", vec![]).unwrap()), ["the author's call"]);
    let object = ticker(&world);
    assert_eq!(show(&method(&world, &object, "run", vec![]).unwrap()), ["false"]);
    assert_eq!(show(&method(&world, &object, "calls", vec![RawValue::Integer(4)]).unwrap()), ["4"]);
}

#[test]
fn nil_is_said_in_front_of_other_values() {
    let world = dss();
    assert_eq!(show(&call(&world, "missing", vec![]).unwrap()), ["nil", "no such file"]);
    assert_eq!(show(&call(&world, "nothing_last", vec![]).unwrap()), ["7"]);
    assert_eq!(show(&call(&world, "nil", vec![]).unwrap()), ["true"]);
    assert_eq!(
        error(&world, "nil", vec![RawValue::Integer(1)]),
        "bad argument #1 to 'hello.nil': wanted nil, found a number"
    );
}

#[test]
fn wrong_arguments_are_named() {
    let world = dss();
    assert_eq!(
        error(&world, "greet", vec![RawValue::Integer(1)]),
        "bad argument #1 to 'hello.greet': wanted a string, found a number"
    );
    assert_eq!(
        error(&world, "greet", vec![]),
        "bad argument #1 to 'hello.greet': wanted a string, found nothing"
    );
    assert_eq!(
        error(&world, "greet", vec![RawValue::Nil]),
        "bad argument #1 to 'hello.greet': wanted a string, found nil"
    );
    assert_eq!(
        error(&world, "add", vec![RawValue::Integer(1), RawValue::Integer(256)]),
        "bad argument #2 to 'hello.add': wanted an integer from 0 to 255, found 256"
    );
    assert_eq!(
        error(&world, "add", vec![RawValue::Float(1.5)]),
        "bad argument #1 to 'hello.add': wanted an integer, found 1.5"
    );
    let bytes = RawValue::Bytes(RBox::new(RVec::from(vec![b'a', 0xff])));
    assert_eq!(
        error(&world, "greet", vec![bytes]),
        "bad argument #1 to 'hello.greet': wanted a string in UTF-8, found a string with invalid UTF-8 at byte 2"
    );
    assert_eq!(
        error(&world, "keep", vec![string("x")]),
        "bad argument #1 to 'hello.keep': wanted a function, found a string"
    );
}

#[test]
fn errors_and_panics_become_sentences() {
    let world = dss();
    assert_eq!(error(&world, "fails", vec![]), "invalid digit found in string");
    assert_eq!(error(&world, "refuse_with", vec![RawValue::Integer(4)]), "raised: [4 4]");
    assert_eq!(error(&world, "boom", vec![]), "'hello.boom' panicked: boom 1");
    assert_eq!(
        error(&world, "overflow", vec![]),
        "'hello.overflow' returned a value that cannot be passed to Lua: value 2: wanted a signed 64-bit integer, \
         found 18446744073709551615"
    );
}

#[test]
fn callbacks_are_kept_and_given_back() {
    let world = dss();
    let id = 1 << 40;
    call(&world, "keep", vec![RawValue::Callback(raw_callback(id))]).unwrap();
    assert_eq!(references(id), 1);
    *KEPT.lock().unwrap() = None;
    assert_eq!(references(id), 0);
}

/// A ticker, as Lua has it.
fn ticker(world: &World) -> RawObject {
    match call(world, "make", vec![]).unwrap().pop() {
        Some(RawValue::Object(object)) => object,
        _ => panic!("it makes an object"),
    }
}

fn lent(object: &RawObject) -> RawValue {
    RawValue::Borrowed(RawBorrowed { data: object.data(), class: object.class() })
}

fn method(
    world: &World,
    object: &RawObject,
    name: &str,
    values: Vec<RawValue>,
) -> Result<Vec<RawValue>, String> {
    let method = object.class().methods.iter().find(|method| method.name == name).expect("it is there");
    call_with(context(world), method, object.data(), values)
}

#[test]
fn objects_have_methods_and_end_once() {
    let world = dss();
    let before = DROPPED.load(Ordering::SeqCst);
    let object = ticker(&world);
    assert_eq!(show(&method(&world, &object, "beat", vec![RawValue::Integer(3)]).unwrap()), ["3"]);
    assert_eq!(show(&method(&world, &object, "beats", vec![]).unwrap()), ["3"]);
    assert_eq!(show(&call(&world, "look", vec![lent(&object)]).unwrap()), ["3"]);
    assert_eq!(show(&call(&world, "look_maybe", vec![lent(&object)]).unwrap()), ["3"]);
    assert_eq!(show(&call(&world, "look_maybe", vec![]).unwrap()), ["nil"]);
    assert_eq!(
        method(&world, &object, "beat", vec![string("x")]).err().unwrap(),
        "bad argument #1 to 'ticker:beat': wanted an integer, found a string"
    );
    assert_eq!(show(&method(&world, &object, "itself", vec![]).unwrap()), ["lent ticker"]);
    assert_eq!(
        method(&world, &object, "itself", vec![RawValue::Boolean(true)]).err().unwrap(),
        "it cannot be had"
    );
    let text = object.class().to_string.into_option().unwrap();
    let call = RawCall { context: context(&world), handle: 42, function: 0, object: object.data() };
    // SAFETY: called as DSS does.
    assert_eq!(unsafe { (text.0)(&call) }.as_str(), "a ticker at 3");
    let close = object.class().close.into_option().unwrap();
    let close = RawFunction { name: "close".into(), call: close, data: 0 };
    assert_eq!(
        call_with(context(&world), &close, object.data(), vec![]).err().unwrap(),
        "it cannot be stopped"
    );
    method(&world, &object, "beat", vec![RawValue::Integer(97)]).unwrap();
    // SAFETY: called as DSS does.
    assert_eq!(unsafe { (text.0)(&call) }.as_str(), "ticker (its `to_string` panicked: no text)");
    drop(object);
    assert_eq!(DROPPED.load(Ordering::SeqCst), before + 1);
    let object = ticker(&world);
    method(&world, &object, "beat", vec![RawValue::Integer(13)]).unwrap();
    drop(object);
    assert_eq!(DROPPED.load(Ordering::SeqCst), before + 2);
}

#[test]
fn other_objects_are_refused_by_name() {
    let world = dss();
    let object = ticker(&world);
    let others = *world.dss.registered.lock().unwrap().as_ref().unwrap().classes[1];
    assert!(others.to_string.is_none() && others.close.is_none() && others.methods.is_empty());
    let look = |value: Vec<RawValue>| error(&world, "look", value);
    static FOREIGN: Mutex<Option<&'static RawClass>> = Mutex::new(None);
    let foreign: &'static RawClass = Box::leak(Box::new(*object.class()));
    *FOREIGN.lock().unwrap() = Some(foreign);
    let other: &'static RawClass = Box::leak(Box::new(others));
    assert_eq!(
        look(vec![RawValue::Borrowed(RawBorrowed { data: object.data(), class: other })]),
        "bad argument #1 to 'hello.look': wanted a 'ticker' object, found a 'other' object"
    );
    assert_eq!(
        look(vec![RawValue::Borrowed(RawBorrowed { data: object.data(), class: foreign })]),
        "bad argument #1 to 'hello.look': wanted a 'ticker' object, found another library's 'ticker' object"
    );
    assert_eq!(look(vec![]), "bad argument #1 to 'hello.look': wanted a 'ticker' object, found nothing");
    assert_eq!(
        look(vec![RawValue::Nil]),
        "bad argument #1 to 'hello.look': wanted a 'ticker' object, found nil"
    );
    assert_eq!(
        look(vec![string("x")]),
        "bad argument #1 to 'hello.look': wanted a 'ticker' object, found a string"
    );
    assert_eq!(
        error(&world, "count", vec![lent(&object)]),
        "bad argument #1 to 'hello.count': wanted a value, found an object of the class ticker, which Lua keeps"
    );
}

#[test]
fn opening_is_refused_with_a_sentence() {
    let world = dss();
    let (status, sentence) = open(8, &RENDEZVOUS, 1);
    assert_eq!(status, REFUSED);
    assert_eq!(
        sentence,
        "hello: this library reads 24 bytes of what it is opened with, but the loaded DSS passes 8: upgrade DSS"
    );
    world.refuse(Code::MALFORMED);
    assert_eq!(
        open(24, &RENDEZVOUS, 1).1,
        "hello: DSS did not register it: its version, a name or a limit is invalid"
    );
    *world.dss.refuse.lock().unwrap() = None;
    for (at, said) in
        [(7, "hello did not open: it is Sunday"), (8, "hello did not open: it panicked: far too late")]
    {
        OPENED.store(at, Ordering::SeqCst);
        *world.dss.registered.lock().unwrap() = None;
        let before = world.dss.unregistered.load(Ordering::SeqCst);
        assert_eq!(open(24, &RENDEZVOUS, 1), (REFUSED, said.to_owned()));
        assert_eq!(world.dss.unregistered.load(Ordering::SeqCst), before + 1);
    }
    // SAFETY: nothing at all is refused too.
    assert_eq!(unsafe { dss_library_v2_open(std::ptr::null(), std::ptr::null_mut()) }, REFUSED);
}

#[test]
fn the_library_hears_of_the_end() {
    let world = dss();
    let (closing, context) = {
        let registered = world.dss.registered.lock().unwrap();
        let registered = registered.as_ref().unwrap();
        (registered.closing.into_option().unwrap(), registered.context)
    };
    let before = CLOSED.load(Ordering::SeqCst);
    // SAFETY: called as DSS does.
    unsafe { (closing.0)(context, 42) };
    assert_eq!(CLOSED.load(Ordering::SeqCst), before + 1);
}

/// A process may have a DSS module for each Lua in it: a function is the one's that calls it, by its context.
#[test]
fn one_library_serves_two_modules() {
    let world = dss();
    let other = common::world();
    let known = std::mem::replace(&mut *ROOT.lock().unwrap(), other.service as *const ServiceObject as usize);
    assert_eq!(open(24, &RENDEZVOUS, 1), (GRANTED, String::new()));
    *ROOT.lock().unwrap() = known;
    for (dss, here) in [(&*world, true), (&other, false)] {
        *dss.dss.on_lua_thread.lock().unwrap() = here;
        assert_eq!(show(&call(dss, "on", vec![]).unwrap()), [here.to_string()]);
        *dss.dss.on_lua_thread.lock().unwrap() = false;
    }
    // A callback of the one names nothing in the other, which may have one of the same number.
    let (mine, id) = world.callback();
    let twin = Callback::new(raw_callback(id), other.service);
    assert_ne!(mine, twin);
    other.library.deliver(&mine, ()).unwrap();
    assert_eq!(other.dss.delivered.lock().unwrap()[0].0, 0, "which names none");
    let refused = other.library.deliver(&twin, (1, mine.clone())).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a value cannot be passed to Lua: value 2: a callback belongs to another DSS module"
    );
    assert_eq!(refused.values, [Value::Integer(1), Value::Callback(mine)]);
    // The context ends with the registration.
    let registered = other.dss.registered.lock().unwrap().take().unwrap();
    // SAFETY: the last call with it, as DSS makes it.
    unsafe { (registered.release.into_option().unwrap().0)(registered.context) };
}
