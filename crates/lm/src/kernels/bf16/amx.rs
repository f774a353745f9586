//! The tile of AMX: eight registers of 16 × 64 bytes, four of which hold sums.
//!
//! Rust has no functions for these instructions yet; each piece of assembly leaves the registers of the compiler as it
//! found them, and the compiler never uses the tiles.
#![cfg(target_arch = "x86_64")]

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;

use super::panels::{Layout, Order};
use super::squares::PAIRS;
use super::tiles::{Corner, Tile};

const ROWS: usize = 32;
const WIDE: usize = 32;

/// Two registers of rows and two of columns: four loads for four products.
pub(super) const TILE: Tile = Tile {
    a: Layout {
        width: ROWS,
        order: Order::Along,
        instruction: true,
    },
    b: Layout {
        width: WIDE,
        order: Order::Across,
        instruction: true,
    },
    begin: configure,
    end: release,
    run,
};

/// What LDTILECFG reads (Intel, Software Developer's Manual, volume 1, 18.2).
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    zeros: [u8; 15],
    row_bytes: [u16; TILES],
    absent_row_bytes: [u16; 8],
    rows: [u8; TILES],
    absent_rows: [u8; 8],
}

const TILES: usize = 8;

/// Eight tiles of 16 rows of 64 bytes.
static CONFIGURATION: Configuration = Configuration {
    palette: 1,
    zeros: [0; 15],
    row_bytes: [64; TILES],
    absent_row_bytes: [0; 8],
    rows: [16; TILES],
    absent_rows: [0; 8],
};

/// Whether the processor has AMX-BF16 and the system lets this process use it. Linux gives the registers to those who
/// ask, once for all threads of a process; who has not asked is killed by the first instruction.
pub(super) fn permitted() -> bool {
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    let wanted = AMX_BF16 | AMX_TILE;
    // Leaf 7 exists wherever AVX-512 does, which is asked for first.
    __cpuid_count(7, 0).edx & wanted == wanted && request()
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn request() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XFEATURE_XTILEDATA: u64 = 18;
    let result: i64;
    // SAFETY: this system call reads no memory and writes none, and clobbers the two registers that every one does.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn request() -> bool {
    false
}

/// Gives the tiles of this thread their shape.
///
/// # Safety
/// [`permitted`] said so.
#[allow(unsafe_code)]
unsafe fn configure() {
    // SAFETY: the instruction reads the 64 bytes of the configuration.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(nostack, readonly)) };
}

/// Empties the tiles of this thread, so that the system need not save them.
///
/// # Safety
/// [`permitted`] said so.
#[allow(unsafe_code)]
unsafe fn release() {
    // SAFETY: the instruction touches no memory.
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
}

/// Sums of a whole tile.
#[repr(align(64))]
struct Sums([f32; ROWS * WIDE]);

#[allow(unsafe_code)]
unsafe fn run(steps: usize, a: &[u32], b: &[u32], corner: Corner) {
    assert!(steps > 0 && a.len() >= steps * PAIRS * ROWS && b.len() >= steps * PAIRS * WIDE);
    if corner.rows == ROWS && corner.columns == WIDE && !corner.keep {
        // SAFETY: the panels have their length; the corner is a whole tile of the caller's own memory.
        unsafe {
            sum(
                steps,
                a.as_ptr(),
                b.as_ptr(),
                corner.before,
                corner.target,
                corner.stride,
            )
        };
        return;
    }
    let mut sums = Sums([0.0; ROWS * WIDE]);
    // SAFETY: as above; the sums have room for a whole tile.
    unsafe {
        sum(
            steps,
            a.as_ptr(),
            b.as_ptr(),
            corner.before,
            sums.0.as_mut_ptr(),
            WIDE,
        )
    };
    for (row, sums) in sums.0.as_chunks::<WIDE>().0.iter().enumerate().take(corner.rows) {
        // SAFETY: the caller gives a corner whose rows and columns are its own.
        unsafe { corner.store(row, sums) };
    }
}

/// A whole tile: its sums before, or zeros, and the products of all steps, to `target`.
///
/// # Safety
/// The tiles of this thread are configured; the panels hold that many steps, `before` is null or sums of a whole tile,
/// and `target` has 32 rows of 32 places, `stride` apart.
#[allow(unsafe_code)]
#[inline(always)]
unsafe fn sum(
    steps: usize,
    a: *const u32,
    b: *const u32,
    before: *const f32,
    target: *mut f32,
    stride: usize,
) {
    // SAFETY: all loads and stores lie where the caller says.
    unsafe {
        asm!(
            "test {before}, {before}",
            "jz 2f",
            "tileloadd tmm0, [{before} + {row_b}]",
            "tileloadd tmm1, [{before} + {row_b} + 64]",
            "tileloadd tmm2, [{before} + {row_b} + 2048]",
            "tileloadd tmm3, [{before} + {row_b} + 2112]",
            "jmp 3f",
            "2:",
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "3:",
            "tileloadd tmm6, [{b} + {row_b}]",
            "tileloadd tmm4, [{a} + {row_a}]",
            "tileloadd tmm7, [{b} + {row_b} + 64]",
            "tileloadd tmm5, [{a} + {row_a} + 1024]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, 2048",
            "add {b}, 2048",
            "dec {steps}",
            "jnz 3b",
            "tilestored [{target} + {stride}], tmm0",
            "tilestored [{target} + {stride} + 64], tmm1",
            "tilestored [{lower} + {stride}], tmm2",
            "tilestored [{lower} + {stride} + 64], tmm3",
            before = in(reg) before,
            a = inout(reg) a => _,
            b = inout(reg) b => _,
            steps = inout(reg) steps => _,
            target = in(reg) target,
            lower = in(reg) target.wrapping_add(ROWS / 2 * stride),
            stride = in(reg) stride * size_of::<f32>(),
            row_a = in(reg) 64_usize,
            row_b = in(reg) 128_usize,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
