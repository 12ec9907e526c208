//! The figures as a page with a drawing: bars of processor time for each answer, one group a case.

use std::fmt::Write;

use super::table::{Compared, Line, Results};

const WIDTH: f64 = 900.0;
const BAR: f64 = 16.0;
const LABELS: f64 = 330.0;
const FIGURES: f64 = 90.0;
const OURS: &str = "#2f7d4f";
const OTHERS: &str = "#8a8f98";

/// The drawing, an SVG file of its own.
pub fn svg(results: &Results) -> String {
    let lines: usize = results.cases.iter().map(|compared| compared.lines.len() + 2).sum();
    let height = BAR * (lines as f64 + 1.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <title>Processor time for each answer, by server</title>\n"
    );
    let mut top = BAR;
    for compared in &results.cases {
        let _ = writeln!(out, "<text x=\"0\" y=\"{top}\" font-weight=\"bold\">{}</text>", escaped(compared.case.title));
        top += BAR;
        for line in &compared.lines {
            bar(&mut out, compared, line, top);
            top += BAR;
        }
        top += BAR;
    }
    out.push_str("</svg>\n");
    out
}

fn bar(out: &mut String, compared: &Compared, line: &Line, top: f64) {
    let longest = compared.lines.iter().map(|line| line.cpu.most).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LABELS - FIGURES) / longest;
    let (length, least, most) = (line.cpu.median * scale, line.cpu.least * scale, line.cpu.most * scale);
    let colour = if line.ours { OURS } else { OTHERS };
    let (middle, baseline) = (top - BAR / 4.0, top);
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{baseline}\" text-anchor=\"end\">{}</text>\
         <rect x=\"{LABELS}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\
         <path d=\"M{:.1} {middle:.1}H{:.1}\" stroke=\"#000\"/>\
         <text x=\"{:.1}\" y=\"{baseline}\">{:.2} us</text>",
        LABELS - 6.0,
        escaped(&line.label),
        top - BAR * 0.75,
        BAR * 0.8,
        LABELS + least,
        LABELS + most,
        LABELS + most + 6.0,
        line.cpu.median,
    );
}

/// The page: set-up, drawing and table.
pub fn html(results: &Results, setup: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>flagstone compare</title>\n\
         <style>body{{font-family:sans-serif;max-width:960px;margin:2em auto}}pre{{font-size:12px;overflow-x:auto}}</style>\n\
         <h1>Flagstone beside others</h1>\n\
         <p>Bars are the server's user and system time for each answer, the median of all rounds; the line shows the least and the \
         greatest. Shorter is better.</p>\n{}<h2>Figures</h2>\n<pre>{}</pre></html>\n",
        svg(results),
        escaped(&results.text(setup)),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::case::CASES;
    use super::super::measure::Sample;
    use super::*;

    #[test]
    fn every_line_has_a_bar_and_text_is_escaped() {
        let sample = Sample { cpu_us: 2.0, rate: 1.0, p50_us: 1.0, p99_us: 1.0, clean: true };
        let lines: Vec<Line> = [true, false].iter().filter_map(|&ours| Line::of("a<b", ours, &[sample])).collect();
        let results = Results { cases: vec![Compared { case: CASES[0], lines }], ..Results::default() };
        let drawing = svg(&results);
        assert_eq!(drawing.matches("<rect").count(), 2, "{drawing}");
        assert!(drawing.contains("a&lt;b") && !drawing.contains("a<b"), "{drawing}");
        assert!(html(&results, "set-up").contains("<svg"));
    }
}
