//! Reading what a library defines, without more trust than its contract asks for.

use std::ffi::{CStr, c_char};

use crate::{dss_class, dss_definition, dss_method};

/// What a library defines. All of it stays as it is for as long as the library is mapped, and libraries of DSS's are never unmapped.
#[derive(Clone)]
pub struct Definition {
    /// The record itself.
    pub raw: &'static dss_definition,
    /// Its functions.
    pub functions: &'static [dss_method],
    /// Its classes.
    pub classes: Vec<&'static dss_class>,
}

impl Definition {
    /// Reads a definition. [any-thread]
    ///
    /// # Errors
    /// A sentence says what is wrong with it.
    ///
    /// # Safety
    /// It is NULL, or a definition that stays as it is; its lists end as they should, and names with a 0.
    pub unsafe fn read(raw: *const dss_definition) -> Result<Self, String> {
        // SAFETY: as the caller promises.
        let raw = unsafe { raw.as_ref() }.ok_or("its entry gives no definition")?;
        if (raw.size as usize) < size_of::<dss_definition>() {
            return Err(format!(
                "its definition has {} bytes: set its size to sizeof(dss_definition)",
                raw.size
            ));
        }
        let mut classes: Vec<&'static dss_class> = Vec::new();
        let mut at = raw.classes;
        // SAFETY: NULL, or a list that ends with NULL.
        while let Some(class) = unsafe { at.as_ref() } {
            // SAFETY: NULL, or a class that stays as it is.
            let Some(class) = (unsafe { class.as_ref() }) else { break };
            if (class.size as usize) < size_of::<dss_class>() || class.name.is_null() || class.drop.is_none()
            {
                return Err(format!("its class #{} has no size, no name or no drop", classes.len() + 1));
            }
            classes.push(class);
            // SAFETY: that was not the end.
            at = unsafe { at.add(1) };
        }
        let functions = methods(raw.functions);
        check_names("class", classes.iter().map(|class| class.name))?;
        for list in classes.iter().map(|class| class.methods()).chain([functions]) {
            check_names("function or method", list.iter().map(|method| method.name))?;
            if let Some(method) = list.iter().find(|method| method.run.is_none()) {
                return Err(format!("its function or method `{}` has nothing to run", method.name()));
            }
        }
        Ok(Definition { raw, functions, classes })
    }
}

impl dss_method {
    /// Its name. [any-thread]
    #[must_use]
    pub fn name(&'static self) -> &'static str {
        name(self.name)
    }
}

impl dss_class {
    /// Its name. [any-thread]
    #[must_use]
    pub fn name(&'static self) -> &'static str {
        name(self.name)
    }

    /// Its methods. [any-thread]
    #[must_use]
    pub fn methods(&'static self) -> &'static [dss_method] {
        methods(self.methods)
    }
}

/// A name, which [`Definition::read`] has seen to be UTF-8.
fn name(name: *const c_char) -> &'static str {
    // SAFETY: the contract of a name.
    unsafe { CStr::from_ptr(name) }.to_str().unwrap_or("?")
}

fn methods(first: *const dss_method) -> &'static [dss_method] {
    let mut count = 0;
    // SAFETY: NULL, or a list that ends with a method without a name.
    while let Some(method) = unsafe { first.wrapping_add(count).as_ref() } {
        if method.name.is_null() {
            break;
        }
        count += 1;
    }
    // SAFETY: NULL with none, or so many as were just looked at.
    if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(first, count) } }
}

/// Checks that names are UTF-8, and that none is there twice.
fn check_names(what: &str, names: impl Iterator<Item = *const c_char>) -> Result<(), String> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        // SAFETY: the contract of a name.
        let name = unsafe { CStr::from_ptr(name) };
        let Ok(text) = name.to_str() else {
            return Err(format!("its {what} `{}` has a name that is not UTF-8", name.to_string_lossy()));
        };
        if seen.contains(&text) {
            return Err(format!("its {what} `{text}` is there twice"));
        }
        seen.push(text);
    }
    Ok(())
}
