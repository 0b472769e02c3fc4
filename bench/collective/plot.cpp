// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "bench/collective/report.h"

// Two panels over the size: time above, bus bandwidth below; one line an operation, type and library.
namespace tandem::bench {

using nlohmann::json;

namespace {

constexpr double kLeft = 70, kTop = 70, kWidth = 620, kHeight = 260, kGap = 56, kLegend = 230;
constexpr const char* kInk = "#1f2933";
constexpr const char* kPale = "#e4e8ed";
constexpr const char* kGrey = "#616e7c";
// Told apart by every kind of eye (Okabe and Ito).
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                    "#e69f00", "#56b4e9", "#3d3d3d", "#8c564b"};

struct Point {
  double bytes, us, rate;
};
struct Line {
  bool ours = true;
  std::vector<Point> points{};
};
using Lines = std::map<std::string, Line>;

void add(Lines& lines, const std::string& name, bool ours, const json& row, const json& f) {
  if (f["us"].get<double>() <= 0) return;
  Line& line = lines[name];
  line.ours = ours;
  line.points.push_back({row["bytes"].get<double>(), f["us"].get<double>(), std::max(f["busbw"].get<double>(), 1e-6)});
}

Lines lines_of(const json& report) {
  Lines lines;
  for (const json& group : report["groups"]) {
    const std::string peer = group.contains("peer") ? group["peer"]["name"].get<std::string>() : "";
    for (const json& row : group["rows"]) {
      const std::string redop =
          row["redop"] == "none" || row["redop"] == "sum" ? "" : " " + row["redop"].get<std::string>();
      const std::string what = row["op"].get<std::string>() + " " + row["type"].get<std::string>() + redop;
      const std::string beside = peer.empty() ? "" : ", run with " + peer;
      add(lines, what + beside, true, row, row.contains("out_of_place") ? row["out_of_place"] : row["in_place"]);
      if (row.contains("peer")) add(lines, what + ", " + peer, false, row, row["peer"]);
    }
  }
  return lines;
}

std::string text_at(double x, double y, const char* anchor, int size, const char* colour, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" font-size=\"{}\" fill=\"{}\">{}</text>\n", x,
                     y, anchor, size, colour, text);
}

std::string size_text(double bytes) {
  if (bytes >= 1 << 20) return fmt::format("{:g}M", bytes / (1 << 20));
  return bytes >= 1 << 10 ? fmt::format("{:g}K", bytes / (1 << 10)) : fmt::format("{:g}", bytes);
}

// One panel with logarithmic axes: x is the size, y what `pick` takes of a point.
class Panel {
 public:
  Panel(const Lines& lines, double top, double Point::*pick) : top_(top), pick_(pick) {
    for (const auto& [name, line] : lines) {
      for (const Point& p : line.points) {
        x_low_ = std::min(x_low_, p.bytes), x_high_ = std::max(x_high_, p.bytes);
        y_low_ = std::min(y_low_, p.*pick), y_high_ = std::max(y_high_, p.*pick);
      }
    }
    x_high_ *= 1.05, x_low_ /= 1.05, y_low_ /= 1.4, y_high_ *= 1.4;
  }

  std::string grid(const char* title) const {
    std::string out;
    for (double bytes = std::exp2(std::ceil(std::log2(x_low_))); bytes <= x_high_; bytes *= 2) {
      const bool named = std::fmod(std::log2(bytes), 2) == 0;
      out += fmt::format("<line x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\" stroke=\"{3}\"/>\n",
                         x(bytes), top_, top_ + kHeight, kPale);
      if (named) out += text_at(x(bytes), top_ + kHeight + 18, "middle", 12, kGrey, size_text(bytes));
    }
    for (double decade = std::pow(10, std::floor(std::log10(y_low_))); decade <= y_high_; decade *= 10) {
      for (const double step : {1.0, 2.0, 5.0}) {
        const double v = decade * step;
        if (v < y_low_ || v > y_high_) continue;
        out += fmt::format("<line x1=\"{1:.1f}\" y1=\"{0:.1f}\" x2=\"{2:.1f}\" y2=\"{0:.1f}\" stroke=\"{3}\"/>\n", y(v),
                           kLeft, kLeft + kWidth, kPale);
        out += text_at(kLeft - 8, y(v) + 4, "end", 12, kGrey, fmt::format("{:g}", v));
      }
    }
    return out + text_at(kLeft, top_ - 8, "start", 13, kInk, title);
  }

  std::string draw(const Line& line, const char* colour) const {
    std::string points, marks;
    for (const Point& p : line.points) {
      points += fmt::format("{:.1f},{:.1f} ", x(p.bytes), y(p.*pick_));
      marks += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\" stroke=\"{}\"><title>{} bytes: "
          "{:.4g}</title></circle>\n",
          x(p.bytes), y(p.*pick_), line.ours ? colour : "white", colour, p.bytes, p.*pick_);
    }
    return fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\"{}/>\n{}", points,
                       colour, line.ours ? 2 : 1.4, line.ours ? "" : " stroke-dasharray=\"5 4\"", marks);
  }

 private:
  double x(double v) const { return kLeft + std::log(v / x_low_) / std::log(x_high_ / x_low_) * kWidth; }
  double y(double v) const { return top_ + kHeight - std::log(v / y_low_) / std::log(y_high_ / y_low_) * kHeight; }

  double top_;
  double Point::*pick_;
  double x_low_ = 1e300, x_high_ = 0, y_low_ = 1e300, y_high_ = 0;
};

}  // namespace

std::string collective_svg(const json& report) {
  const Lines lines = lines_of(report);
  const double width = kLeft + kWidth + 24 + kLegend, below = kTop + kHeight + kGap;
  const double height = std::max(below + kHeight + 44, kTop + 20 * static_cast<double>(lines.size()) + 20);
  const json& machine = report["machine"];
  std::string body = text_at(kLeft, 28, "start", 18, kInk, "Collectives over size");
  body += text_at(kLeft, 46, "start", 12, kGrey,
                  fmt::format("{}, {} cores; {}; {}", machine["cpu"].get<std::string>(), machine["cores"].get<size_t>(),
                              report["groups"].empty() ? "" : report["groups"][0]["communicator"].get<std::string>(),
                              machine["date"].get<std::string>().substr(0, 10)));
  if (!lines.empty()) {
    const Panel time(lines, kTop, &Point::us), rate(lines, below, &Point::rate);
    body += time.grid("time, us") + rate.grid("bus bandwidth, GB/s");
    double y = kTop + 10;
    size_t index = 0;
    for (const auto& [name, line] : lines) {
      const char* colour = kColours[index++ % std::size(kColours)];
      body += time.draw(line, colour) + rate.draw(line, colour);
      body += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"14\" height=\"4\" fill=\"{}\"/>\n",
                          kLeft + kWidth + 16, y - 6, colour);
      body += text_at(kLeft + kWidth + 36, y, "start", 12, kInk, name);
      y += 20;
    }
  }
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "font-family=\"Helvetica, Arial, sans-serif\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"#fcfdfe\"/>\n{2}</svg>\n",
      width, height, body);
}

}  // namespace tandem::bench
