//! Forbids or counts the system call `membarrier`, with a seccomp filter. The filter stays until the process ends.

use crate::lua::{self, State};
use crate::object::reply;
use crate::value::Value;
use std::ffi::{CStr, c_int};

pub(crate) const FUNCTIONS: &[(&CStr, lua::Function)] = &[
    (c"forbid_membarrier", forbid_membarrier),
    (c"count_membarriers", count_membarriers),
    (c"membarriers", membarriers),
];

/// `host.forbid_membarrier()`: from now on the call fails with EPERM on all threads.
unsafe extern "C-unwind" fn forbid_membarrier(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe { reply(l, || filter::forbid().map(|()| Vec::new())) }
}

/// `host.count_membarriers()`: from now on each call on any thread is counted, and still has its effect.
unsafe extern "C-unwind" fn count_membarriers(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe { reply(l, || filter::count().map(|()| Vec::new())) }
}

/// `host.membarriers() -> number`: the number of counted calls.
unsafe extern "C-unwind" fn membarriers(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe { reply(l, || Ok(vec![Value::count(filter::counted())])) }
}

#[cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod filter {
    use std::ffi::{c_int, c_long, c_void};
    use std::sync::atomic::{AtomicU64, Ordering};

    // The filter lets the call through only from here. The signal handler makes it on behalf of the caller.
    #[cfg(target_arch = "x86_64")]
    std::arch::global_asm!(
        ".globl dss_host_membarrier",
        ".globl dss_host_membarrier_after",
        "dss_host_membarrier:",
        "mov eax, 324",
        "syscall",
        "dss_host_membarrier_after:",
        "ret",
    );
    #[cfg(target_arch = "aarch64")]
    std::arch::global_asm!(
        ".globl dss_host_membarrier",
        ".globl dss_host_membarrier_after",
        "dss_host_membarrier:",
        "mov x8, #283",
        "svc #0",
        "dss_host_membarrier_after:",
        "ret",
    );

    unsafe extern "C" {
        fn dss_host_membarrier(command: c_long, flags: c_long, cpu: c_long) -> c_long;
        fn dss_host_membarrier_after();
    }

    static COUNT: AtomicU64 = AtomicU64::new(0);

    /// Offsets in the kernel's `seccomp_data`: the number of the call, and the two halves of the address after its instruction.
    const NUMBER: u32 = 0;
    const ADDRESS: [u32; 2] = [8, 12];

    fn load(offset: u32) -> libc::sock_filter {
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
    }

    fn answer(action: u32) -> libc::sock_filter {
        statement(libc::BPF_RET | libc::BPF_K, action)
    }

    fn statement(code: u32, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
    }

    /// Skips `jt` instructions if the loaded value is `k`, and `jf` instructions otherwise.
    fn equal(k: u32, jt: u8, jf: u8) -> libc::sock_filter {
        libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt, jf, k }
    }

    fn install(program: &mut [libc::sock_filter]) -> Result<(), String> {
        let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: the call takes only numbers.
        let quiet = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        // SAFETY: the program outlives the call, which copies it.
        let set = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_TSYNC,
                &raw const program,
            )
        };
        if quiet == 0 && set == 0 {
            return Ok(());
        }
        Err(format!("no filter of system calls: {}", std::io::Error::last_os_error()))
    }

    pub(super) fn forbid() -> Result<(), String> {
        install(&mut [
            load(NUMBER),
            equal(libc::SYS_membarrier as u32, 0, 1),
            answer(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
            answer(libc::SECCOMP_RET_ALLOW),
        ])
    }

    pub(super) fn count() -> Result<(), String> {
        // SAFETY: a plain struct, valid when zeroed.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = counting;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        // SAFETY: the handler takes three arguments, as `SA_SIGINFO` requires, and lives as long as the process.
        if unsafe { libc::sigaction(libc::SIGSYS, &action, std::ptr::null_mut()) } != 0 {
            return Err(format!("no handler: {}", std::io::Error::last_os_error()));
        }
        let after = dss_host_membarrier_after as *const () as u64;
        install(&mut [
            load(NUMBER),
            equal(libc::SYS_membarrier as u32, 0, 5),
            load(ADDRESS[0]),
            equal(after as u32, 0, 2),
            load(ADDRESS[1]),
            equal((after >> 32) as u32, 1, 0),
            answer(libc::SECCOMP_RET_TRAP),
            answer(libc::SECCOMP_RET_ALLOW),
        ])
    }

    pub(super) fn counted() -> u64 {
        COUNT.load(Ordering::SeqCst)
    }

    /// Counts the call, makes it, and returns its result to the original caller.
    extern "C" fn counting(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
        COUNT.fetch_add(1, Ordering::SeqCst);
        let context: *mut libc::ucontext_t = context.cast();
        // SAFETY: the kernel passes the registers of the caller, and the filter traps only `membarrier`.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            {
                let registers = &mut (*context).uc_mcontext.gregs;
                let argument = |register: c_int| registers[register as usize];
                registers[libc::REG_RAX as usize] = dss_host_membarrier(
                    argument(libc::REG_RDI),
                    argument(libc::REG_RSI),
                    argument(libc::REG_RDX),
                );
            }
            #[cfg(target_arch = "aarch64")]
            {
                let registers = &mut (*context).uc_mcontext.regs;
                let argument = |at: usize| registers[at] as c_long;
                registers[0] = dss_host_membarrier(argument(0), argument(1), argument(2)) as u64;
            }
        }
    }
}

#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod filter {
    const NONE: &str = "system calls cannot be filtered on this system";

    pub(super) fn forbid() -> Result<(), String> {
        Err(NONE.into())
    }

    pub(super) fn count() -> Result<(), String> {
        Err(NONE.into())
    }

    pub(super) fn counted() -> u64 {
        0
    }
}
