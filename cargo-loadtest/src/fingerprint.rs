//! Which machine a run was made on, coarse enough to be the same for two runs on equal machines.
//!
//! The main function is [`read`]. What the system does not tell stays empty; nothing here fails.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use loadtest_core::results::Fingerprint;

/// The machine and the compiler that the workspace uses (`rust-toolchain.toml` included).
pub fn read(workspace_root: &Path) -> Fingerprint {
    let cpuinfo = text("/proc/cpuinfo");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Fingerprint {
        cpu: cpu_model(&cpuinfo)
            .or_else(|| output("sysctl", &["-n", "machdep.cpu.brand_string"]))
            .unwrap_or_default(),
        cores: u32::try_from(cores).unwrap_or(u32::MAX),
        memory_bytes: memory(&text("/proc/meminfo"))
            .or_else(|| output("sysctl", &["-n", "hw.memsize"])?.parse().ok())
            .unwrap_or_default(),
        os: std::env::consts::OS.to_owned(),
        kernel: line("/proc/sys/kernel/osrelease").or_else(|| output("uname", &["-r"])).unwrap_or_default(),
        arch: std::env::consts::ARCH.to_owned(),
        virtualisation: virtualisation(&cpuinfo),
        rustc: rustc(workspace_root).unwrap_or_default(),
    }
}

/// The first `model name` (x86) or, where there is none, the implementer and part numbers (arm).
fn cpu_model(cpuinfo: &str) -> Option<String> {
    let field = |name: &str| {
        let value = cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim())
        });
        value.filter(|value| !value.is_empty())
    };
    if let Some(model) = field("model name") {
        return Some(model.to_owned());
    }
    Some(format!("implementer {} part {}", field("CPU implementer")?, field("CPU part")?))
}

/// `MemTotal` in bytes.
fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// What shows of a hypervisor and of a container: `KVM, container`.
fn virtualisation(cpuinfo: &str) -> String {
    let mut found = Vec::new();
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    if flags.split_whitespace().any(|flag| flag == "hypervisor") {
        let product = line("/sys/class/dmi/id/product_name").or_else(|| line("/sys/hypervisor/type"));
        found.push(product.unwrap_or_else(|| "virtual machine".to_owned()));
    }
    if Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists() {
        found.push("container".to_owned());
    }
    found.join(", ")
}

/// `rustc --version` of the compiler that cargo would take.
fn rustc(workspace_root: &Path) -> Option<String> {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(compiler);
    first_line(command.arg("--version").current_dir(workspace_root))
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    first_line(Command::new(program).args(arguments))
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_linux_are_read() {
        let x86 = "processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nflags\t\t: fpu hypervisor\n";
        assert_eq!(cpu_model(x86).as_deref(), Some("Some CPU @ 2.0GHz"));
        let arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n";
        assert_eq!(cpu_model(arm).as_deref(), Some("implementer 0x41 part 0xd0c"));
        assert_eq!(cpu_model(""), None);
        assert_eq!(memory("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!(memory("nonsense"), None);
    }

    #[test]
    fn this_machine_has_cores_and_a_compiler() {
        let here = read(Path::new("."));
        assert!(here.cores >= 1 && here.rustc.starts_with("rustc "), "{here:?}");
        assert_eq!(here, read(Path::new(".")));
    }
}
