//! The objects of one library that one Lua state has.

use std::collections::HashMap;
use std::ffi::c_void;

use super::copied::{Copied, ObjectClass};
use super::service::Refused;
use super::wire::Wire;
use super::{Context, service};
use crate::delivery::DeliverError;
use crate::handle::Handle;
use crate::states;
use crate::sync::Mutex;

/// The objects that Lua has. When the library leaves they are dropped, and what Lua has left of them names nothing. Objects that take no
/// room may have one address: they are told apart by class, and counted.
pub(super) struct Objects<W: Wire> {
    /// The classes that the library lists.
    pub(super) classes: Box<[&'static W::Class]>,
    luas: Mutex<HashMap<(usize, usize), Held<W>>>,
}

struct Held<W: Wire> {
    class: &'static W::Class,
    count: usize,
}

fn key<W: Wire>(data: *mut c_void, class: &'static W::Class) -> (usize, usize) {
    (data.expose_provenance(), std::ptr::from_ref(class).expose_provenance())
}

impl<W: Wire> Objects<W> {
    pub(super) fn new(classes: &[&'static W::Class]) -> Self {
        Objects { classes: classes.into(), luas: Mutex::new(HashMap::new()) }
    }

    fn add(&self, data: *mut c_void, class: &'static W::Class) {
        self.luas.lock().entry(key::<W>(data, class)).or_insert(Held { class, count: 0 }).count += 1;
    }

    pub(super) fn has(&self, data: *mut c_void, class: &'static W::Class) -> bool {
        self.luas.lock().contains_key(&key::<W>(data, class))
    }

    /// Drops an object, if it was not dropped before.
    pub(super) fn drop_one(&self, data: *mut c_void, class: &'static W::Class) {
        let key = key::<W>(data, class);
        let mut objects = self.luas.lock();
        let Some(held) = objects.get_mut(&key) else { return };
        held.count -= 1;
        if held.count == 0 {
            objects.remove(&key);
        }
        drop(objects);
        // SAFETY: the library made the two together, and the map had them once more than it has now.
        unsafe { W::drop_object(class, data) };
    }

    pub(super) fn drop_all(&self) {
        let all = std::mem::take(&mut *self.luas.lock());
        for ((data, _), Held { class, count }) in all {
            let data: *mut c_void = std::ptr::with_exposed_provenance_mut(data);
            for _ in 0..count {
                // SAFETY: as above.
                unsafe { W::drop_object(class, data) };
            }
        }
    }
}

/// An object that a library gives away: of one of its classes, that which `is` says, and not given away before as far as can be told.
/// [any-thread]
///
/// # Safety
/// The library made the object, as one of that class.
pub(crate) unsafe fn give<W, C>(
    raw: usize,
    data: *mut c_void,
    is: impl Fn(&'static C) -> bool,
) -> Result<Copied<C>, Refused>
where
    W: Wire<Class = C>,
    C: ObjectClass,
{
    let (dispatcher, handle) = service::own::<W>(raw)?;
    let class = dispatcher.look_at_context(handle, |context| {
        // SAFETY: the library is registered, of this revision, and does not leave before this returns.
        let objects = &unsafe { Context::<W>::of(context) }.objects;
        let class = objects.classes.iter().copied().find(|class| is(class))?;
        (!objects.has(data, class)).then_some(class)
    });
    let class = class.ok_or(DeliverError::InvalidHandle)?.ok_or(Refused::NotYours)?;
    // SAFETY: as the caller promises.
    Ok(unsafe { Copied::object(data, class) })
}

/// Notes that Lua owns an object now. In a call into the library of `handle`.
pub(super) fn given<W: Wire>(handle: Handle, data: *mut c_void, class: &'static W::Class) {
    let context = states::dispatcher_of(handle).and_then(|dispatcher| dispatcher.context(handle));
    if let Some(context) = context {
        // SAFETY: the library is being called, so its registration is there.
        let context = unsafe { Context::<W>::of(context) };
        context.objects.add(data, class);
    }
}
