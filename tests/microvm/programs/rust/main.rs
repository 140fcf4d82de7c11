// Programs chosen to break determinism; the first argument names the case.
use std::arch::asm;
use std::collections::{hash_map::RandomState, HashMap, HashSet};
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::os::unix::{fs::MetadataExt, net::UnixStream};
use std::process::Command;
use std::sync::{atomic::{AtomicU64, Ordering}, mpsc, Arc, Barrier, Condvar, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn now() -> u128 { SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() }
fn ticks() -> u64 { unsafe { core::arch::x86_64::_rdtsc() } }
fn fold(data: &[u8]) -> u64 { data.iter().fold(0xcbf29ce484222325, |sum, byte| (sum ^ *byte as u64).wrapping_mul(0x100000001b3)) }
fn run(command: &str) -> String {
    let done = Command::new("bash").args(["-c", command]).output().unwrap();
    format!("{} {}{}", done.status, String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}
extern "C" {
    fn mmap(address: *mut u8, size: usize, protection: i32, flags: i32, descriptor: i32, offset: i64) -> *mut u8;
    fn malloc(size: usize) -> *mut u8;
    fn fork() -> i32;
    fn waitpid(child: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(code: i32) -> !;
    fn setuid(user: u32) -> i32;
    fn iopl(level: i32) -> i32;
    fn ioperm(from: u64, count: u64, on: i32) -> i32;
    fn kill(process: i32, signal: i32) -> i32;
    fn signal(number: i32, handler: usize) -> usize;
    fn alarm(seconds: u32) -> u32;
    fn getrandom(data: *mut u8, size: usize, flags: u32) -> isize;
    fn sched_yield() -> i32;
    fn sin(value: f64) -> f64;
    fn pow(left: f64, right: f64) -> f64;
}
fn page() -> *mut u8 { unsafe { mmap(std::ptr::null_mut(), 1 << 16, 7, 0x22, -1, 0) } }
/// How a child ends that runs these bytes.
fn ends(code: &[u8]) -> i32 {
    unsafe {
        let place = page();
        std::ptr::copy_nonoverlapping(code.as_ptr(), place, code.len());
        let child = fork();
        if child == 0 {
            let act: extern "C" fn() = std::mem::transmute(place);
            act();
            _exit(0)
        }
        let mut status = 0;
        waitpid(child, &mut status, 0);
        status
    }
}

// case: clocks
fn clocks() { for _ in 0..6 { println!("{} {:?} {}", now(), Instant::now(), ticks()); thread::sleep(Duration::from_micros(1234)); } }
// case: elapsed
fn elapsed() {
    for size in [10u64, 1000, 100000] {
        let (start, count) = (Instant::now(), ticks());
        let sum = (0..size).fold(1u64, |sum, n| sum.wrapping_mul(31).wrapping_add(n));
        println!("{sum} {:?} {}", start.elapsed(), ticks() - count);
    }
}
// case: threads
fn threads() {
    let (log, total) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicU64::new(0)));
    let all: Vec<_> = (0..6).map(|name| { let (log, total) = (log.clone(), total.clone()); thread::spawn(move || for n in 0..80 {
        let value = total.load(Ordering::Relaxed);
        if n % 7 == name { thread::yield_now(); }
        total.store(value + 1, Ordering::Relaxed);
        log.lock().unwrap().push_str(&format!("{name}"));
    }) }).collect();
    for one in all { one.join().unwrap(); }
    println!("{} {}", total.load(Ordering::Relaxed), log.lock().unwrap());
}
// case: channels
fn channels() {
    let (send, receive) = mpsc::sync_channel(3);
    for name in 0..5 { let send = send.clone(); thread::spawn(move || for n in 0..20 { send.send((name, n, Instant::now())).unwrap(); thread::sleep(Duration::from_micros(name * 37 + n)); }); }
    drop(send);
    for value in receive { println!("{value:?}"); }
}
// case: locks
fn locks() {
    let shared = Arc::new((Mutex::new(Vec::new()), Condvar::new(), RwLock::new(0), Barrier::new(4)));
    let all: Vec<_> = (0..4).map(|name| { let shared = shared.clone(); thread::spawn(move || for n in 0..15 {
        shared.3.wait();
        *shared.2.write().unwrap() += 1;
        let mut log = shared.0.lock().unwrap();
        log.push((name, n, *shared.2.read().unwrap(), ticks()));
        shared.1.notify_one();
        drop(shared.1.wait_timeout(log, Duration::from_micros(50)).unwrap());
    }) }).collect();
    for one in all { one.join().unwrap(); }
    println!("{:?}", shared.0.lock().unwrap());
}
// case: randomness
fn randomness() {
    let mut data = [0u8; 32];
    unsafe { getrandom(data.as_mut_ptr(), 32, 0); }
    let mut file = [0u8; 16];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut file).unwrap();
    println!("{data:?} {file:?} {} {}", RandomState::new().build_hasher().finish(), fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap());
}
// case: hash_order
fn hash_order() {
    let map: HashMap<_, _> = (0..60).map(|n| (format!("key{n}"), n)).collect();
    let set: HashSet<_> = (0..60).collect();
    println!("{:?} {:?} {:?}", map, set, set.iter().zip(map.values()).map(|(a, b)| a * b).collect::<Vec<i32>>());
}
// case: addresses
fn addresses() {
    let (local, heap) = (1, Box::new(2));
    println!("{:p} {:p} {:p} {:p}", &local, heap, addresses as *const (), page());
    for size in [16, 1000, 100_000, 10_000_000] { println!("{:p}", Vec::<u8>::with_capacity(size).as_ptr()); }
    println!("{}", fs::read_to_string("/proc/self/maps").unwrap());
}
// case: uninitialised
fn uninitialised() {
    for size in [24usize, 100, 1000, 30_000, 500_000] {
        let blocks: Vec<_> = (0..6).map(|_| unsafe { std::slice::from_raw_parts(malloc(size), size) }).collect();
        println!("{size} {:?}", blocks.iter().map(|block| (block.as_ptr(), fold(block))).collect::<Vec<_>>());
    }
}
// case: processes
fn processes() {
    let mut children: Vec<_> = [3, 1, 2].iter().map(|n| Command::new("bash").args(["-c", &format!("sleep 0.00{n}; echo {n} $$ $RANDOM $EPOCHREALTIME")]).spawn().unwrap()).collect();
    for child in &mut children { println!("{} {:?} {}", child.id(), child.wait(), now()); }
}
// case: forks
fn forks() {
    let children: Vec<_> = (0..6).map(|name| unsafe {
        let child = fork();
        if child == 0 { for n in 0..10 { println!("{name} {n} {}", ticks()); sched_yield(); } _exit(name) }
        child
    }).collect();
    for _ in &children { let mut status = 0; println!("{} {status}", unsafe { waitpid(-1, &mut status, 0) }); }
}
// case: pipes
fn pipes() {
    let (mut left, right) = UnixStream::pair().unwrap();
    for name in 0..4u8 { let mut end = right.try_clone().unwrap(); thread::spawn(move || for n in 0..30usize { end.write_all(&vec![name; 1 + n * 97 % 700]).unwrap(); }); }
    drop(right);
    let (mut data, mut sizes) = ([0u8; 1000], Vec::new());
    loop { let count = left.read(&mut data).unwrap(); if count == 0 { break } sizes.push((count, fold(&data[..count]))); }
    println!("{sizes:?} {}", ticks());
}
// case: timers
fn timers() {
    let all: Vec<_> = [5, 1, 4, 2, 3].iter().map(|n| { let n = *n; thread::spawn(move || { thread::sleep(Duration::from_millis(n)); (n, now()) }) }).collect();
    let mut count = 0u64;
    let end = Instant::now() + Duration::from_millis(6);
    while Instant::now() < end { count += 1; }
    println!("{count} {:?}", all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>());
}
static FIRED: AtomicU64 = AtomicU64::new(0);
extern "C" fn fire(number: i32) { FIRED.fetch_add(number as u64, Ordering::SeqCst); }
// case: signals
fn signals() {
    unsafe { for number in [10, 12, 14] { signal(number, fire as *const () as usize); } alarm(1); }
    let own = std::process::id() as i32;
    thread::spawn(move || for n in 0..20 { unsafe { kill(own, 10 + 2 * (n % 2)); } thread::sleep(Duration::from_micros(300)); });
    let (mut seen, mut count) = (0, 0u64);
    for _ in 0..4_000_000 { count += 1; let fired = FIRED.load(Ordering::SeqCst); if fired != seen { println!("{fired} {count}"); seen = fired; } }
    println!("{seen} {}", ticks());
}
// case: floats
fn floats() {
    let acts: [(&str, fn(f64) -> f64); 12] = [("sin", f64::sin), ("cos", f64::cos), ("tan", f64::tan), ("exp", f64::exp), ("ln", f64::ln), ("atan", f64::atan), ("sinh", f64::sinh), ("cbrt", f64::cbrt), ("sqrt", f64::sqrt), ("ln_1p", f64::ln_1p), ("round", f64::round), ("recip", f64::recip)];
    for (name, act) in acts { println!("{name} {}", fold(format!("{:?}", (0..500).map(|n| act(f64::from(n) * 1.37e-2 - 3.0).to_bits()).collect::<Vec<_>>()).as_bytes())); }
    println!("{} {} {}", unsafe { sin(1e22) }.to_bits(), unsafe { pow(1.0000001, 1e9) }.to_bits(), 0.1f64.mul_add(10.0, -1.0).to_bits());
    println!("{}", now());
}
// case: nan_bits
fn nan_bits() {
    for text in [0x7ff8000000000001u64, 0x7ff0000000000001, 0xfff8000000000002, 1, 0x8000000000000000, 0x7ff0000000000000] {
        let value = f64::from_bits({ let mut held = text; unsafe { std::ptr::read_volatile(&mut held) } });
        println!("{:x} {:x} {:x} {:x} {:x} {:x}", (value + 1.0).to_bits(), (value * 0.0).to_bits(), (-value).to_bits(), value.min(1.0).to_bits(), (value as f32).to_bits(), value as i64);
    }
    println!("{}", ticks());
}
// case: x87_sine
fn x87_sine() {
    for (name, code) in [("sine", [0xd9u8, 0xfe]), ("cosine", [0xd9, 0xff])] {
        let place = page();
        let bytes = [&[0xdd, 0x07][..], &code, &[0xdd, 0x1f, 0xc3]].concat(); // fld [rdi]; act; fstp [rdi]; ret
        let act: extern "C" fn(*mut f64) = unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()); std::mem::transmute(place) };
        let all: Vec<_> = (0..1500).map(|n| { let mut value = f64::from(n) * 1.7 - 900.0; act(&mut value); value.to_bits() }).collect();
        println!("{name} {}", fold(format!("{all:?}").as_bytes()));
    }
}
// case: rounding_modes
fn rounding_modes() {
    for mode in [0x1f80u32, 0x3f80, 0x5f80, 0x7f80, 0x9fc0, 0xffc0] {
        let (mut sum, usual) = (0u64, 0x1f80u32);
        for n in 1..300 {
            let (mut left, right) = (f64::from(n) * 0.37 * if n % 5 == 0 { 1e-310 } else { 1.0 }, 1.0 + f64::from(n) / 7.0);
            unsafe { asm!("ldmxcsr [{m}]", "divsd {a}, {b}", "sqrtsd {a}, {a}", "mulsd {a}, {b}", "ldmxcsr [{u}]", m = in(reg) &mode, u = in(reg) &usual, a = inout(xmm_reg) left, b = in(xmm_reg) right); }
            sum = sum.rotate_left(7) ^ left.to_bits();
        }
        println!("{mode:x} {sum:x} {}", ticks());
    }
}
// case: processor
fn processor() {
    for leaf in (0..0x20).chain(0x80000000..0x80000009).chain(0x40000000..0x40000002) { println!("{leaf:x} {:x?}", unsafe { core::arch::x86_64::__cpuid_count(leaf, 0) }); }
    println!("{} {:?}", ticks(), thread::available_parallelism());
}
// case: lacking_instructions
fn lacking_instructions() {
    for code in [&[0x0f, 0xc7, 0xf0][..], &[0x0f, 0xc7, 0xf8], &[0xc5, 0xf5, 0x58, 0xc2], &[0x0f, 0x01, 0xd0], &[0xf4], &[0xfa], &[0x0f, 0x0b], &[0xcc], &[0xcd, 0x81], &[0x0f, 0x20, 0xc0], &[0x0f, 0x33], &[0x0f, 0x01, 0xf9], &[0xf3, 0x0f, 0xae, 0xc0], &[0xe4, 0x80], &[0x66, 0xba, 5, 5, 0xb0, 1, 0xee], &[0xf0, 0x90], &[0x0f, 0x0f, 0xc1, 0x9e]] {
        let bytes = [code, &[0xc3]].concat();
        println!("{code:x?} {} {}", ends(&bytes), ticks());
    }
}
// case: self_modifying
fn self_modifying() {
    let place = page();
    let act: extern "C" fn() -> u32 = unsafe { std::mem::transmute(place) };
    let (mut total, start) = (0u64, ticks());
    for n in 0..600u32 { let bytes = [&[0xb8][..], &n.to_le_bytes(), &[0xc3]].concat(); unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, 6); } total += u64::from(act()); }
    let (mut sum, mut count) = (0u32, 500u32);
    unsafe { std::ptr::copy_nonoverlapping([0x31u8, 0xc0, 0x88, 0x0d, 1, 0, 0, 0, 0x05, 0x44, 0x33, 0x22, 0x11, 0xff, 0xc9, 0x75, 0xf1, 0xc3].as_ptr(), place, 18); asm!("call {}", in(reg) place, out("eax") sum, inout("ecx") count); }
    println!("{total} {sum} {count} {}", ticks() - start);
}
// case: large_code
fn large_code() {
    let size = 1 << 20;
    let place = unsafe { mmap(std::ptr::null_mut(), size + 16, 7, 0x22, -1, 0) };
    for n in 0..size / 8 { let bytes = [0x05, n as u8, (n >> 8) as u8, (n >> 16) as u8, 0, 0xeb, 1, 0xcc]; unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place.add(n * 8), 8); } }
    unsafe { *place.add(size) = 0xc3 }
    let act: extern "C" fn() -> u32 = unsafe { std::mem::transmute(place) };
    for _ in 0..3 { let start = ticks(); println!("{} {}", act(), ticks() - start); }
}
// case: system_files
fn system_files() {
    for name in ["stat", "meminfo", "interrupts", "cpuinfo", "uptime", "loadavg", "vmstat", "version", "self/stat", "self/status", "self/auxv", "self/smaps_rollup"] {
        let data = fs::read(format!("/proc/{name}")).unwrap_or_default();
        println!("{name} {} {} {:?}", data.len(), fold(&data), String::from_utf8_lossy(&data[..data.len().min(80)]));
    }
    let mut names = Vec::new();
    let mut folders = vec!["/sys/devices/system".into(), "/dev".into()];
    while let Some(folder) = folders.pop() { for entry in fs::read_dir::<std::path::PathBuf>(folder).into_iter().flatten().flatten() { names.push((entry.path(), entry.metadata().map(|about| about.mtime_nsec()).ok())); if entry.file_type().map_or(false, |kind| kind.is_dir()) { folders.push(entry.path()); } } }
    println!("{} {}", names.len(), fold(format!("{names:?}").as_bytes()));
}
// case: inodes
fn inodes() {
    for n in 0..60u32 { let name = format!("/tmp/{}", n * 7919 % 1009); fs::write(&name, vec![0; n as usize]).unwrap(); if n % 3 == 0 { fs::remove_file(name).unwrap(); } }
    for entry in fs::read_dir("/tmp").unwrap().flatten() { let about = entry.metadata().unwrap(); println!("{:?} {} {} {}", entry.path(), about.ino(), about.mtime_nsec(), about.blocks()); }
}
// case: sorting
fn sorting() {
    let mut words: Vec<_> = RandomState::new().build_hasher().finish().to_string().chars().cycle().take(900).enumerate().collect();
    words.sort_by_key(|(_, letter)| *letter);
    println!("{words:?}");
    words.sort_unstable_by_key(|(_, letter)| *letter as u32 / 3);
    println!("{words:?}");
}
// case: panics
fn panics() {
    let deep = thread::Builder::new().stack_size(1 << 16).spawn(|| { let value: Vec<u8> = Vec::new(); let place = ticks() as usize | 1; value[place] }).unwrap().join();
    println!("{:?} {}", deep.err().and_then(|error| error.downcast_ref::<String>().cloned()), run("ulimit -c; kill -SEGV $$"));
}
// case: guest_root
fn guest_root() {
    println!("{} {} {} {} {}", unsafe { setuid(0) }, unsafe { iopl(3) }, unsafe { ioperm(0x505, 1, 1) }, unsafe { kill(1, 9) }, ends(&[0x66, 0xba, 5, 5, 0xb0, 1, 0xee, 0xc3]));
    for name in ["/dev/mem", "/dev/port", "/dev/kmsg", "/proc/1/mem", "/proc/kcore", "/proc/sysrq-trigger", "/faas/runner.py", "/etc/shadow"] { println!("{name} {:?} {:?}", fs::File::open(name).err(), fs::OpenOptions::new().write(true).open(name).err()); }
    println!("{} {}", run("mount -t tmpfs x /tmp; sudo id; unshare -r id; mknod /tmp/x c 1 1; chown 0 /tmp; ls -l /proc/self/fd"), now());
}

fn main() {
    let case = std::env::args().nth(1).unwrap_or_default();
    match case.as_str() {
        "clocks" => clocks(), "elapsed" => elapsed(), "threads" => threads(), "channels" => channels(), "locks" => locks(),
        "randomness" => randomness(), "hash_order" => hash_order(), "addresses" => addresses(), "uninitialised" => uninitialised(),
        "processes" => processes(), "forks" => forks(), "pipes" => pipes(), "timers" => timers(), "signals" => signals(),
        "floats" => floats(), "nan_bits" => nan_bits(), "x87_sine" => x87_sine(), "rounding_modes" => rounding_modes(),
        "processor" => processor(), "lacking_instructions" => lacking_instructions(), "self_modifying" => self_modifying(),
        "large_code" => large_code(), "system_files" => system_files(), "inodes" => inodes(), "sorting" => sorting(),
        "panics" => panics(), "guest_root" => guest_root(),
        _ => panic!("no case {case}"),
    }
}
