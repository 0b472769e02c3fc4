// SPDX-License-Identifier: Apache-2.0
#include "bench/roofline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

namespace tandem::bench {

using nlohmann::json;

namespace {

constexpr double kPanel = 470, kHeight = 400, kLeft = 64, kTop = 92, kGap = 74, kLegend = 190, kBottom = 78;
constexpr const char* kInk = "#1f2933";
constexpr const char* kPale = "#e4e8ed";
constexpr const char* kGrey = "#616e7c";
// Told apart by every kind of eye (Okabe and Ito).
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#3d3d3d", "#8c564b"};

struct Point {
  std::string colour_of, shape_of, title;
  bool ours = true;
  double x = 0, y = 0;
};

struct Panel {
  int threads = 0;
  std::vector<Point> points;
  std::map<std::string, std::vector<double>> limits;
};

double middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
  return out;
}

std::vector<Panel> panels_of(const json& report) {
  std::map<int, Panel> panels;
  for (const json& row : report.at("rows")) {
    if (row.at("gflops").is_null() || row.at("bytes").get<double>() <= 0) continue;
    Panel& panel = panels[row.at("threads").get<int>()];
    panel.threads = row.at("threads").get<int>();
    const bool ours = row.at("ours").get<bool>();
    const std::string fast = row.at("math") == "fast" ? " fast" : "";
    const std::string family = row.at("family") == "attention" ? "attention " : "";
    const double flops = row.at("flops").get<double>();
    panel.points.push_back({family + row.at("types").get<std::string>() + fast, row.at("who").get<std::string>(),
                            fmt::format("{} {} {}, m {}: {} GFLOP/s", row.at("who").get<std::string>(), row.at("types").get<std::string>(),
                                        row.at("layout").get<std::string>(), row.at("m").get<int>(), row.at("gflops").dump()),
                            ours, flops / row.at("bytes").get<double>(), row.at("gflops").get<double>()});
    for (const auto& [name, rate] : row.at("limits").items()) panel.limits[name].push_back(rate.get<double>());
  }
  std::vector<Panel> list;
  for (auto& [threads, panel] : panels) list.push_back(std::move(panel));
  return list;
}

// Logarithmic axes of one panel.
struct Axes {
  double left, x_low, x_high, y_low, y_high;

  double x(double v) const { return left + (std::log10(v) - x_low) / (x_high - x_low) * kPanel; }
  double y(double v) const { return kTop + kHeight - (std::log10(v) - y_low) / (y_high - y_low) * kHeight; }
};

Axes axes_of(const std::vector<Panel>& panels, double left) {
  double x_low = 1e300, x_high = 0, y_low = 1e300, y_high = 0;
  for (const Panel& panel : panels) {
    for (const Point& p : panel.points) {
      x_low = std::min(x_low, p.x), x_high = std::max(x_high, p.x), y_low = std::min(y_low, p.y), y_high = std::max(y_high, p.y);
    }
    for (const auto& [name, rates] : panel.limits) y_high = std::max(y_high, name == "read" ? 0 : middle(rates));
  }
  return {left, std::log10(x_low / 1.6), std::log10(x_high * 1.6), std::log10(y_low / 1.7), std::log10(y_high * 1.7)};
}

std::string text_at(double x, double y, const char* anchor, int size, const char* colour, const std::string& text, const std::string& more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" font-size=\"{}\" fill=\"{}\"{}>{}</text>\n", x, y, anchor, size,
                     colour, more, escaped(text));
}

std::string line_at(double x1, double y1, double x2, double y2, const char* colour, double width, const char* dash = "") {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-width=\"{}\"{}/>\n", x1, y1, x2, y2,
                     colour, width, dash);
}

std::string grid(const Axes& a) {
  std::string out;
  for (int decade = -3; decade <= 6; ++decade) {
    for (const int step : {1, 2, 5}) {
      const double v = step * std::pow(10.0, decade);
      const double width = step == 1 ? 1.2 : 0.6;
      if (std::log10(v) > a.x_low && std::log10(v) < a.x_high) {
        out += line_at(a.x(v), kTop, a.x(v), kTop + kHeight, kPale, width);
        out += text_at(a.x(v), kTop + kHeight + 18, "middle", 12, kGrey, fmt::format("{:g}", v));
      }
      if (std::log10(v) > a.y_low && std::log10(v) < a.y_high) {
        out += line_at(a.left, a.y(v), a.left + kPanel, a.y(v), kPale, width);
        out += text_at(a.left - 8, a.y(v) + 4, "end", 12, kGrey, fmt::format("{:g}", v));
      }
    }
  }
  return out;
}

// The same unit of the same width under two names is drawn once.
bool drawn_already(const std::string& name, double rate, std::map<std::string, double>& drawn) {
  for (const auto& [other, value] : drawn) {
    if (other.substr(0, 3) == name.substr(0, 3) && std::fabs(value / rate - 1) < 0.06) return true;
  }
  drawn[name] = rate;
  return false;
}

std::string limits(const Panel& panel, const Axes& a) {
  const auto found = panel.limits.find("read");
  if (found == panel.limits.end()) return "";
  const double read = middle(found->second);
  const double right = std::pow(10, a.x_high), top = std::pow(10, a.y_high), low = std::pow(10, a.y_low);
  double highest = 0;
  std::string out;
  std::map<std::string, double> drawn;
  for (const auto& [name, rates] : panel.limits) {
    const double peak = middle(rates);
    if (name == "read" || drawn_already(name, peak, drawn)) continue;
    highest = std::max(highest, peak);
    out += line_at(a.x(std::max(peak / read, std::pow(10, a.x_low))), a.y(peak), a.x(right), a.y(peak), kInk, 1.4,
                   name.starts_with("fma") ? "" : " stroke-dasharray=\"6 4\"");
    out += text_at(a.left + kPanel - 6, a.y(peak) - 5, "end", 11, kInk, fmt::format("{} {:.0f}", name, peak));
  }
  const double end = std::min(highest, top), begin = std::max(low, std::pow(10, a.x_low) * read);
  out += line_at(a.x(begin / read), a.y(begin), a.x(end / read), a.y(end), kInk, 1.8);
  const double at = std::sqrt(begin * end);
  const double slope = -std::atan2(a.y(begin) - a.y(end), a.x(end / read) - a.x(begin / read)) * 180 / M_PI;
  const double x = a.x(at / read) - 7, y = a.y(at) - 7;
  out += text_at(x, y, "middle", 11, kInk, fmt::format("read {:.1f} GB/s", read), fmt::format(" transform=\"rotate({:.1f} {:.1f} {:.1f})\"", slope, x, y));
  return out;
}

// Circle, square, triangle, diamond: which table; hollow: a peer.
std::string mark(double x, double y, size_t shape, const char* colour, bool ours, const std::string& title) {
  const std::string paint = ours ? fmt::format("fill=\"{}\" fill-opacity=\"0.85\" stroke=\"white\" stroke-width=\"0.8\"", colour)
                                 : fmt::format("fill=\"white\" fill-opacity=\"0.6\" stroke=\"{}\" stroke-width=\"1.6\"", colour);
  const std::string tail = title.empty() ? "/>\n" : fmt::format("><title>{}</title></{}>\n", escaped(title), shape % 4 == 0 ? "circle" : shape % 4 == 1 ? "rect" : "path");
  switch (shape % 4) {
    case 0: return fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\" {}{}", x, y, paint, tail);
    case 1: return fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"9\" height=\"9\" {}{}", x - 4.5, y - 4.5, paint, tail);
    case 2: return fmt::format("<path d=\"M{:.1f} {:.1f} l6 10 h-12 z\" {}{}", x, y - 6, paint, tail);
    default: return fmt::format("<path d=\"M{:.1f} {:.1f} l6 6 l-6 6 l-6 -6 z\" {}{}", x, y - 6, paint, tail);
  }
}

// Names in order of appearance get the next colour or shape.
struct Key {
  std::vector<std::string> colours, shapes;
  std::set<std::string> peers;

  static size_t place(std::vector<std::string>& list, const std::string& name) {
    const auto found = std::find(list.begin(), list.end(), name);
    if (found != list.end()) return static_cast<size_t>(found - list.begin());
    list.push_back(name);
    return list.size() - 1;
  }
  const char* colour(const std::string& name) { return kColours[place(colours, name) % std::size(kColours)]; }
};

std::string draw_panel(const Panel& panel, const Axes& a, Key& key) {
  std::string out = grid(a) + limits(panel, a);
  for (const bool ours : {false, true}) {  // ours on top
    for (const Point& p : panel.points) {
      const size_t shape = Key::place(key.shapes, p.shape_of);
      if (!p.ours) key.peers.insert(p.shape_of);
      if (p.ours == ours) out += mark(a.x(p.x), a.y(p.y), shape, key.colour(p.colour_of), ours, p.title);
    }
  }
  out += fmt::format("<rect x=\"{:.1f}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"{}\"/>\n", a.left, kTop, kPanel, kHeight, "#9aa5b1");
  out += text_at(a.left + kPanel / 2, kTop - 12, "middle", 14, kInk, panel.threads == 1 ? "1 thread" : fmt::format("{} threads", panel.threads), " font-weight=\"600\"");
  return out + text_at(a.left + kPanel / 2, kTop + kHeight + 42, "middle", 13, kInk, "operations per byte of weights");
}

std::string legend(const Key& key, double left) {
  std::string out;
  double y = kTop + 8;
  for (size_t i = 0; i < key.colours.size(); ++i, y += 21) {
    out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"14\" height=\"10\" rx=\"2\" fill=\"{}\"/>\n", left, y - 9, kColours[i % std::size(kColours)]);
    out += text_at(left + 22, y, "start", 12, kInk, key.colours[i]);
  }
  y += 14;
  for (size_t i = 0; i < key.shapes.size(); ++i, y += 21) {
    const bool peer = key.peers.contains(key.shapes[i]);
    out += mark(left + 7, y - 4, i, kGrey, !peer, "");
    out += text_at(left + 22, y, "start", 12, kInk, key.shapes[i]);
  }
  return out;
}

}  // namespace

std::string roofline_svg(const json& report) {
  const std::vector<Panel> panels = panels_of(report);
  const auto count = static_cast<double>(std::max<size_t>(1, panels.size()));
  const double width = kLeft + count * kPanel + (count - 1) * kGap + 24 + kLegend, height = kTop + kHeight + kBottom;
  std::string body;
  Key key;
  double left = kLeft;
  for (const Panel& panel : panels) {
    body += draw_panel(panel, axes_of(panels, left), key);
    left += kPanel + kGap;
  }
  body += legend(key, kLeft + count * kPanel + (count - 1) * kGap + 24);
  const json& machine = report.at("machine");
  const std::string under = fmt::format("{}, {} cores; {}; {}", machine.at("cpu").get<std::string>(), machine.at("cores").get<size_t>(),
                                        machine.at("compiler").get<std::string>(), machine.at("date").get<std::string>().substr(0, 10));
  return fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
                     "font-family=\"Helvetica, Arial, sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fcfdfe\"/>\n",
                     width, height) +
         text_at(kLeft, 32, "start", 19, kInk, "Kernels under the limits of the same run", " font-weight=\"600\"") +
         text_at(kLeft, 53, "start", 12, kGrey, under) +
         text_at(18, kTop + kHeight / 2, "middle", 13, kInk, "GFLOP/s", fmt::format(" transform=\"rotate(-90 18 {:.0f})\"", kTop + kHeight / 2)) + body +
         "</svg>\n";
}

}  // namespace tandem::bench
