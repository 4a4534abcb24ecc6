//! A manual page as it is built, section by section (man(7)).

use roff::{Inline, Roff, bold, italic, roman};

/// A page that is being written.
pub(super) struct Page {
    roff: Roff,
    /// Whether a heading was written last: it begins a paragraph.
    after_heading: bool,
}

impl Page {
    /// A page with its header and the NAME section.
    pub(super) fn new(name: &str, section: &str, about: &str) -> Self {
        let mut roff = Roff::new();
        let version = concat!("robotctl ", env!("CARGO_PKG_VERSION"));
        // `roff` leaves empty arguments out. A page without a date has the same bytes every day.
        let none = "\"\"";
        roff.control("TH", [&name.to_uppercase(), section, none, version, none]);
        // Neither hyphens nor wide gaps: most words are names of files and options.
        roff.control("nh", []).control("ad", ["l"]);
        roff.control("SH", ["NAME"]);
        roff.text([roman(format!("{name} - {about}"))]);
        Self {
            roff,
            after_heading: false,
        }
    }

    /// Begins a section.
    pub(super) fn section(&mut self, title: &str) {
        self.roff.control("SH", [title]);
        self.after_heading = true;
    }

    /// Begins a part of a section.
    pub(super) fn part(&mut self, title: &str) {
        self.roff.control("SS", [title]);
        self.after_heading = true;
    }

    /// A paragraph. Text between backticks is bold.
    pub(super) fn paragraph(&mut self, text: &str) {
        self.begin_paragraph();
        self.lines(text);
    }

    /// A term and what it means.
    pub(super) fn entry(&mut self, term: &[Inline], text: &str) {
        self.after_heading = false;
        self.roff.control("TP", []);
        self.roff.text(term);
        self.lines(text);
    }

    /// One more paragraph about the term.
    pub(super) fn more(&mut self, text: &str) {
        self.roff.control("IP", []);
        self.lines(text);
    }

    /// A command or a file, line by line.
    pub(super) fn verbatim(&mut self, text: &str) {
        self.begin_paragraph();
        self.roff.control("nf", []);
        for line in text.lines() {
            // An empty line would be a paragraph.
            match line {
                "" => self.roff.control("sp", []),
                line => self.roff.text([roman(line)]),
            };
        }
        self.roff.control("fi", []);
    }

    /// A line of words in several fonts, indented under the first one where it is long.
    pub(super) fn usage(&mut self, first: &str, words: &[Vec<Inline>]) {
        self.roff
            .control("TP", [(first.len() + 1).to_string().as_str()]);
        self.roff.text([bold(first)]);
        for word in words {
            self.roff.text(word.as_slice());
        }
    }

    /// SEE ALSO: other pages, with their section.
    pub(super) fn see_also(&mut self, pages: &[(String, u8)]) {
        self.section("SEE ALSO");
        let last = pages.len().saturating_sub(1);
        for (index, (page, section)) in pages.iter().enumerate() {
            let comma = if index == last { "" } else { "," };
            let section = roman(format!("({section}){comma}"));
            self.roff.text([bold(page), section]);
        }
    }

    /// The page as roff.
    pub(super) fn finish(self) -> String {
        self.roff.render()
    }

    fn begin_paragraph(&mut self) {
        if !std::mem::take(&mut self.after_heading) {
            self.roff.control("PP", []);
        }
    }

    /// Text, one sentence a line, as man(7) recommends.
    fn lines(&mut self, text: &str) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for sentence in text.split_inclusive(". ") {
            self.roff.text(inlines(sentence.trim_end()));
        }
    }
}

/// Text with its code, which is between backticks, in bold.
pub(super) fn inlines(text: &str) -> Vec<Inline> {
    let font = |(index, part): (usize, &str)| {
        if index % 2 == 1 {
            bold(part)
        } else {
            roman(part)
        }
    };
    let parts = text.split('`').enumerate();
    parts
        .filter(|(_, part)| !part.is_empty())
        .map(font)
        .collect()
}

/// A word to type, and the name of its value.
pub(super) fn option(name: &str, value: Option<&str>) -> Vec<Inline> {
    let mut out = vec![bold(name)];
    if let Some(value) = value {
        out.extend([roman(" "), italic(value)]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Page, option};

    #[test]
    fn a_page_has_a_header_and_readable_source() {
        let mut page = Page::new("a-b", "1", "does it");
        page.section("FILES");
        page.entry(&option("./x", None), "Is `.y`. Is `z-z`.");
        page.verbatim("'a\n\nb\\c");
        page.see_also(&[("c".to_owned(), 1), ("d".to_owned(), 5)]);
        let text = page.finish();
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            ".TH A-B 1 \"\" \"robotctl {version}\" \"\"\n.nh\n.ad l\n.SH NAME\na\\-b \\- does it\n\
             .SH FILES\n.TP\n\\fB./x\\fR\nIs \\fB.y\\fR.\nIs \\fBz\\-z\\fR.\n\
             .PP\n.nf\n\\*(Aqa\n.sp\nb\\\\c\n.fi\n\
             .SH \"SEE ALSO\"\n\\fBc\\fR(1),\n\\fBd\\fR(5)\n"
        );
        assert!(text.ends_with(&expected), "{text}");
    }
}
