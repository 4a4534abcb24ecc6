//! What the kernel would do with a program: its `#!` line, or its ELF header (execve(2), elf(5)).

use super::small_file::open_regular;
use anyhow::{Context as _, Result, bail, ensure};
use elf::ElfStream;
use elf::abi::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, EI_NIDENT, PN_XNUM, PT_DYNAMIC, PT_INTERP, SHT_DYNAMIC,
};
use elf::endian::AnyEndian;
use elf::file::{Class, FileHeader, parse_ident};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::path::Path;

/// How much of a `#!` line the kernel reads (`BINPRM_BUF_SIZE`).
const HEAD_BYTES: u64 = 256;
/// How an ELF file begins.
const ELF_MAGIC: &[u8] = b"\x7fELF";
/// How large the parts of an ELF file may be that are read: those of the largest programs are smaller.
const MAX_PART_BYTES: u64 = 64 * 1024 * 1024;
/// Where the kernel shows handlers of other formats (`Documentation/admin-guide/binfmt-misc.rst`).
const OTHER_FORMATS: &str = "/proc/sys/fs/binfmt_misc";
/// What is there without any handler.
const OF_BINFMT_MISC: [&str; 2] = ["register", "status"];

/// The kind of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgramFile {
    /// A script: the words of its `#!` line.
    Script(Vec<String>),
    /// An ELF program or library.
    Elf(ElfFile),
    /// Anything else, which the kernel does not execute by itself.
    Other,
}

/// What an ELF file needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ElfFile {
    /// `e_machine`: the architecture.
    pub machine: u16,
    /// The program that loads its libraries; `None` for a static program and for a library.
    pub loader: Option<String>,
    /// The names of the libraries that it needs (`DT_NEEDED`).
    pub needed: Vec<String>,
    /// The directories in which they are looked for first (`DT_RPATH`, `DT_RUNPATH`).
    pub search: Vec<String>,
}

impl ProgramFile {
    /// Reads a file. Of a large one, only the parts that count are read. Only a regular file is executed.
    ///
    /// # Errors
    /// The operating system's, with the path, and when an ELF file is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let context = || format!("reading the program `{}`", path.display());
        let Some(mut file) = open_regular(path).with_context(context)? else {
            return Ok(Self::Other);
        };
        let mut head = Vec::new();
        let part = file.by_ref().take(HEAD_BYTES).read_to_end(&mut head);
        part.with_context(context)?;
        if let Some(line) = head.strip_prefix(b"#!") {
            return Ok(Self::Script(words_of(line)));
        }
        if !head.starts_with(ELF_MAGIC) {
            return Ok(Self::Other);
        }
        has_counted_headers(&head).with_context(context)?;
        file.rewind().with_context(context)?;
        ElfFile::read(file).map(Self::Elf).with_context(context)
    }
}

/// The words of a `#!` line. A carriage return is part of a word, as for the kernel.
fn words_of(line: &[u8]) -> Vec<String> {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// Refuses an ELF file whose header does not say how many segments and sections there are, but leaves that to the first
/// section, where it may be any number (elf(5)). No linker makes such programs.
fn has_counted_headers(head: &[u8]) -> Result<()> {
    let (Some(ident), Some(tail)) = (head.get(..EI_NIDENT), head.get(EI_NIDENT..)) else {
        bail!("it ends within its header");
    };
    let ident = parse_ident::<AnyEndian>(ident)?;
    let bytes = match ident.1 {
        Class::ELF32 => elf::file::ELF32_EHDR_TAILSIZE,
        Class::ELF64 => elf::file::ELF64_EHDR_TAILSIZE,
    };
    let tail = tail.get(..bytes).context("it ends within its header")?;
    let header = FileHeader::parse_tail(ident, tail)?;
    let is_counted = (header.e_shoff == 0 || header.e_shnum != 0) && header.e_phnum != PN_XNUM;
    ensure!(is_counted, "its header has no number of sections");
    Ok(())
}

/// Refuses a part that is too large to be read.
fn is_small(bytes: u64) -> Result<()> {
    ensure!(
        bytes <= MAX_PART_BYTES,
        "a part of {bytes} bytes is too large to be read"
    );
    Ok(())
}

impl ElfFile {
    fn read(file: File) -> Result<Self> {
        let mut stream = ElfStream::<AnyEndian, _>::open_stream(file)?;
        let mut out = Self {
            machine: stream.ehdr.e_machine,
            ..Self::default()
        };
        let loader = stream.segments().iter().find(|one| one.p_type == PT_INTERP);
        if let Some(loader) = loader.copied() {
            is_small(loader.p_filesz)?;
            let bytes = stream.segment_data(&loader)?;
            let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            out.loader = Some(String::from_utf8_lossy(text).into_owned());
        }
        for one in stream.segments() {
            if one.p_type == PT_DYNAMIC {
                is_small(one.p_filesz)?;
            }
        }
        for one in stream.section_headers() {
            if one.sh_type == SHT_DYNAMIC {
                is_small(one.sh_size)?;
            }
        }
        let Some(entries) = stream.dynamic()? else {
            return Ok(out);
        };
        let entries: Vec<(i64, u64)> = entries.iter().map(|one| (one.d_tag, one.d_val())).collect();
        // The names are in the table that the section of the entries names.
        let sections = stream.section_headers();
        let dynamic = sections.iter().find(|one| one.sh_type == SHT_DYNAMIC);
        let names = dynamic.and_then(|one| sections.get(usize::try_from(one.sh_link).ok()?));
        let Some(names) = names.copied() else {
            return Ok(out);
        };
        is_small(names.sh_size)?;
        let names = stream.section_data_as_strtab(&names)?;
        for (tag, value) in entries {
            let name = || -> Result<&str> { Ok(names.get(usize::try_from(value)?)?) };
            match tag {
                DT_NEEDED => out.needed.push(name()?.to_owned()),
                DT_RPATH | DT_RUNPATH => {
                    let dirs = name()?.split(':').filter(|dir| !dir.is_empty());
                    out.search.extend(dirs.map(str::to_owned));
                }
                _ => {}
            }
        }
        Ok(out)
    }
}

/// The architectures whose programs the kernel executes, as `e_machine` and by name; none when this program
/// is built for an architecture that is not listed.
pub fn own_architectures() -> &'static [(u16, &'static str)] {
    match std::env::consts::ARCH {
        "x86_64" => &[(62, "x86-64")],
        // A kernel of 64 bits may run this program of 32 bits.
        "x86" => &[(3, "x86"), (62, "x86-64")],
        "aarch64" => &[(183, "AArch64")],
        "arm" => &[(40, "Arm"), (183, "AArch64")],
        "riscv64" => &[(243, "RISC-V")],
        "s390x" => &[(22, "S/390")],
        "powerpc64" => &[(21, "PowerPC64")],
        "loongarch64" => &[(258, "LoongArch")],
        _ => &[],
    }
}

/// Whether other programs of the host execute formats that the kernel does not know, such as an emulator.
pub fn has_other_formats() -> bool {
    let names = fs::read_dir(OTHER_FORMATS).into_iter().flatten().flatten();
    let mut names = names.map(|entry| entry.file_name());
    names.any(|name| OF_BINFMT_MISC.iter().all(|known| name != *known))
}

#[cfg(test)]
mod tests {
    use super::{ElfFile, ProgramFile, own_architectures};
    use std::fs::write;

    #[test]
    fn a_script_has_the_words_of_its_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let of = |text: &str| {
            let path = dir.path().join("program");
            write(&path, text).unwrap();
            ProgramFile::read(&path).unwrap()
        };
        let script = |words: &[&str]| {
            ProgramFile::Script(words.iter().map(|word| (*word).to_owned()).collect())
        };
        assert_eq!(
            of("#! /usr/bin/env -S python3 -B\nx"),
            script(&["/usr/bin/env", "-S", "python3", "-B"])
        );
        assert_eq!(of("#!/bin/sh\r\necho"), script(&["/bin/sh\r"]));
        assert_eq!(of("#!"), script(&[]));
        assert_eq!(of("print()\n"), ProgramFile::Other);
        assert_eq!(of(""), ProgramFile::Other);
    }

    #[test]
    fn an_elf_file_says_what_it_needs_and_a_damaged_one_is_an_error() {
        let own = std::env::current_exe().unwrap();
        let ProgramFile::Elf(ElfFile {
            machine,
            loader,
            needed,
            ..
        }) = ProgramFile::read(&own).unwrap()
        else {
            panic!("{}", own.display());
        };
        let own_machines = own_architectures();
        assert!(own_machines.is_empty() || own_machines.iter().any(|(one, _)| *one == machine));
        assert!(loader.is_none_or(|loader| loader.contains("ld")));
        assert!(needed.iter().all(|name| name.contains(".so")), "{needed:?}");
        let dir = tempfile::tempdir().unwrap();
        let whole = std::fs::read(&own).unwrap();
        for end in [4, 16, 63, 64, 200, whole.len() / 2] {
            let path = dir.path().join("part");
            write(&path, &whole[..end]).unwrap();
            // It may be read as far as it goes; it must not panic.
            let _ = ProgramFile::read(&path);
        }
        let path = dir.path().join("magic");
        write(&path, b"\x7fELF").unwrap();
        assert!(ProgramFile::read(&path).is_err());
    }

    #[test]
    fn an_elf_file_with_odd_headers_is_not_read_into_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let of = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut head = whole[..4096.min(whole.len())].to_vec();
            change(&mut head);
            write(&path, &head).unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_len(1 << 42).unwrap();
            format!("{:#}", ProgramFile::read(&path).unwrap_err())
        };
        if whole[4] != 2 || whole[5] != 1 {
            return; // Another layout than that of 64 bits and little endian.
        }
        let no_count = of(&|head| head[60..62].fill(0));
        assert!(no_count.contains("has no number of sections"), "{no_count}");
        let no_count = of(&|head| head[56..58].fill(0xff));
        assert!(no_count.contains("has no number of sections"), "{no_count}");
        // A loader of 2^41 bytes, in the first segment.
        let large = of(&|head| {
            head[40..48].fill(0);
            head[58..64].fill(0);
            head[32..40].copy_from_slice(&64_u64.to_le_bytes());
            head[56..58].copy_from_slice(&1_u16.to_le_bytes());
            head[64..68].copy_from_slice(&3_u32.to_le_bytes());
            head[72..80].fill(0);
            head[96..104].copy_from_slice(&(1_u64 << 41).to_le_bytes());
        });
        assert!(large.contains("too large to be read"), "{large}");
        nix::unistd::mkfifo(
            &dir.path().join("pipe"),
            nix::sys::stat::Mode::from_bits_truncate(0o700),
        )
        .unwrap();
        let pipe = ProgramFile::read(&dir.path().join("pipe")).unwrap();
        assert_eq!(pipe, ProgramFile::Other);
    }
}
