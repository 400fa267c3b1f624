//! The macro for objects.

/// Turns a type into a Lua userdata with methods. A function can return such an object, and a delivery can carry it.
///
/// ```text
/// object! {
///     TYPE as STRING,
///     methods: { METHOD, "lua-name" => PATH, ... },
///     to_string: FUNCTION,
///     close: FUNCTION,
/// }
/// ```
///
/// The fields stand in this order. You may leave out each of `methods`, `to_string` and `close`. Also list the type
/// in `objects` of [`library!`](crate::library!).
///
/// | field | meaning | signature |
/// |---|---|---|
/// | `TYPE as STRING` | the type, and its name in Lua | |
/// | `methods` | the methods for Lua: see [`Method`](crate::Method) | `fn(&TYPE, &Library, ...) -> ...` |
/// | `to_string` | makes the text for Lua's `tostring` | `fn(&TYPE) -> String` |
/// | `close` | closes the object, at most once | `fn(&TYPE, &Library) -> ...` |
///
/// `METHOD` alone is `TYPE::METHOD`. Write a method that has another name in Lua as `"lua-name" => TYPE::method`. Two
/// methods must not have one name.
///
/// Lua calls `close` for `object:close()`, and at the end of a variable with `<close>`. Its results are ignored, and
/// its error is raised.
///
/// ```
/// use dss_abi_v2::{object, Library, Result};
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// struct Counter(AtomicU32);
///
/// object! {
///     Counter as "counter",
///     methods: { add, "value" => Counter::get },
///     to_string: Counter::text,
///     close: Counter::reset,
/// }
///
/// impl Counter {
///     fn add(&self, _: &Library, more: Option<u32>) -> u32 {
///         self.0.fetch_add(more.unwrap_or(1), Ordering::Relaxed)
///     }
///
///     fn get(&self, _: &Library) -> u32 {
///         self.0.load(Ordering::Relaxed)
///     }
///
///     fn text(&self) -> String {
///         format!("a counter at {}", self.0.load(Ordering::Relaxed))
///     }
///
///     fn reset(&self, _: &Library) -> Result<()> {
///         self.0.store(0, Ordering::Relaxed);
///         Ok(())
///     }
/// }
/// ```
///
/// The macro implements [`Object`](crate::Object) and [`IntoValue`](crate::IntoValue) for the type. It adds no
/// `unsafe` around your expressions, so this does not compile:
///
/// ```compile_fail
/// struct Door;
/// unsafe fn danger() -> fn(&Door) -> String {
///     |_| String::new()
/// }
/// dss_abi_v2::object! { Door as "door", to_string: danger() }
/// ```
///
/// The type must be `Send`, because an object may be dropped on another thread than the one that made it. So this
/// does not compile either:
///
/// ```compile_fail
/// struct Bound(std::rc::Rc<()>);
/// dss_abi_v2::object! { Bound as "bound" }
/// ```
#[macro_export]
macro_rules! object {
    (
        $type:ty as $name:expr
        $(, methods: { $($method:tt $(=> $path:expr)?),* $(,)? })?
        $(, to_string: $text:expr)?
        $(, close: $close:expr)?
        $(,)?
    ) => {
        $crate::__object! {
            $type as $name
            $(, methods: { $($method $(=> $path)?),* })?
            $(, to_string: $text)?
            $(, close: $close)?
        }
    };
    ($($not_an_object:tt)*) => {
        ::core::compile_error!(
            "`object!` takes a type, its name in Lua, and any of these parts, in this order: `Door as \"door\", methods: { open, \
             \"other-name\" => Door::other }, to_string: Door::text, close: Door::close`"
        );
    };
}

/// What [`object!`](crate::object!) expands to.
#[doc(hidden)]
#[macro_export]
macro_rules! __object {
    (@some [$some:expr]) => { $crate::__private::ROption::RSome($some) };
    (@some []) => { $crate::__private::ROption::RNone };
    (
        $type:ty as $name:expr
        $(, methods: { $($method:tt $(=> $path:expr)?),* $(,)? })?
        $(, to_string: $text:expr)?
        $(, close: $close:expr)?
    ) => {
        const _: () = {
            const __DSS_NAME: &$crate::__private::str = $name;
            const __DSS_NAMES: &[&$crate::__private::str] = &[$($($crate::__library!(@name $method)),*)?];
            $crate::__library! {
                @refuse_twice __DSS_NAMES,
                "two methods of `object!` have the name \"", "\": give each method its own name"
            }

            const __DSS_COUNT: usize = __DSS_NAMES.len();
            const __DSS_METHODS: [$crate::__private::Entry<$type>; __DSS_COUNT] = [$($(
                $crate::__library!(@method __DSS_NAME, $type, [$method] $method $($path)?)
            ),*)?];
            const __DSS_RAW: &[$crate::contract::RawFunction] = &$crate::__private::raw(&__DSS_METHODS);

            static __DSS_CLASS: $crate::contract::RawClass = $crate::contract::RawClass {
                name: $crate::__private::RStr::from_str(__DSS_NAME),
                methods: $crate::__private::RSlice::from_slice(__DSS_RAW),
                to_string: $crate::__object!(@some [$({
                    fn __dss_text_of(object: &$type) -> ::std::string::String {
                        let text: fn(&$type) -> ::std::string::String = $text;
                        text(object)
                    }

                    unsafe extern "C" fn __dss_text(
                        call: &$crate::contract::RawCall,
                    ) -> $crate::__private::RString {
                        // SAFETY: DSS made this call, with an object of this class.
                        unsafe { $crate::__private::text::<$type>(call.object, __dss_text_of) }
                    }

                    $crate::contract::TextFn(__dss_text)
                })?]),
                close: $crate::__object!(@some [$(
                    $crate::__library!(
                        @entry $type, __DSS_NAME, ':', "close",
                        [$crate::__private::closing::<$type, _, _>($close)], [], method, call_method
                    ).raw.call
                )?]),
                drop: $crate::contract::DropFn($crate::__private::drop_object::<$type>),
            };

            // SAFETY: the class is this type's alone, and so are its functions.
            unsafe impl $crate::Object for $type {
                const NAME: &'static $crate::__private::str = __DSS_NAME;

                fn class() -> &'static $crate::contract::RawClass {
                    &__DSS_CLASS
                }

                fn uses(uses: &mut $crate::__private::Uses) {
                    uses.ask(&__DSS_METHODS);
                }
            }

            impl $crate::IntoValue for $type {
                fn into_value(self) -> ::core::result::Result<$crate::Value, $crate::ValueError> {
                    ::core::result::Result::Ok($crate::Value::Object($crate::AnyObject::new(self)))
                }

                fn uses(uses: &mut $crate::__private::Uses) {
                    uses.add(<$type as $crate::Object>::class());
                }
            }
        };
    };
}
