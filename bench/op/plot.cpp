// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "bench/op/op_limits.h"
#include "bench/op/report.h"

// Above: what every rank did in one call. Below: operations a second over operations a byte, under the limits.
namespace tandem::bench::op {

using nlohmann::json;

namespace {

constexpr double kLeft = 80, kWidth = 760, kTop = 76, kLane = 26, kHeight = 300, kLegend = 230;
constexpr const char *kInk = "#1f2933", *kPale = "#e4e8ed", *kGrey = "#616e7c";
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#3d3d3d"};

std::string text_at(double x, double y, const char* anchor, int size, const char* colour, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" font-size=\"{}\" fill=\"{}\">{}</text>\n", x,
                     y, anchor, size, colour, text);
}

const char* colour_of(const std::string& category) {
  static const std::map<std::string, const char*> kOf = {{"compute", "#0072b2"}, {"reduce", "#d55e00"},
                                                         {"tail", "#009e73"},    {"wait", "#c9ced6"},
                                                         {"publish", "#cc79a7"}, {"copy", "#e69f00"}};
  const auto found = kOf.find(category);
  return found == kOf.end() ? nullptr : found->second;
}

// The last call: the whole operators that lie latest, one a rank.
std::pair<double, double> last_call(const std::vector<LaneSpan>& lanes) {
  std::map<int64_t, std::pair<double, double>> last;
  for (const LaneSpan& span : lanes) {
    if (span.category != "operation") continue;
    auto& latest = last[span.rank];
    if (span.end_us > latest.second) latest = {span.begin_us, span.end_us};
  }
  if (last.empty()) return {0, 0};
  double begin = 1e300, end = 0;
  for (const auto& [rank, range] : last) begin = std::min(begin, range.first), end = std::max(end, range.second);
  return {begin, end};
}

std::string draw_lanes(const std::vector<LaneSpan>& lanes, double& bottom) {
  const auto [begin, end] = last_call(lanes);
  bottom = kTop;
  if (end <= begin) return text_at(kLeft, kTop, "start", 12, kGrey, "no call was traced");
  std::map<int64_t, int> place;
  for (const LaneSpan& span : lanes) place.emplace(span.rank, 0);
  int next = 0;
  std::string out;
  for (auto& [rank, at] : place) {
    at = next++;
    out += text_at(kLeft - 8, kTop + kLane * at + 15, "end", 12, kInk, fmt::format("rank {}", rank));
  }
  for (const LaneSpan& span : lanes) {
    const char* colour = colour_of(span.category);
    if (colour == nullptr || span.end_us < begin || span.begin_us > end) continue;
    const double x = kLeft + (span.begin_us - begin) / (end - begin) * kWidth;
    const double width = std::max((span.end_us - span.begin_us) / (end - begin) * kWidth, 0.3);
    out += fmt::format(
        "<rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{}\" fill=\"{}\"><title>{} {:.1f} us"
        "</title></rect>\n",
        x, kTop + kLane * place[span.rank], width, kLane - 6, colour, span.category, span.end_us - span.begin_us);
  }
  bottom = kTop + kLane * next;
  out += text_at(kLeft, bottom + 14, "start", 11, kGrey, "0");
  out += text_at(kLeft + kWidth, bottom + 14, "end", 11, kGrey, fmt::format("{:.1f} us", end - begin));
  double x = kLeft + 60;
  for (const char* name : {"compute", "reduce", "tail", "wait", "publish", "copy"}) {
    out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"12\" height=\"8\" fill=\"{}\"/>\n", x, bottom + 7,
                       colour_of(name));
    out += text_at(x + 16, bottom + 14, "start", 11, kInk, name);
    x += 90;
  }
  return out;
}

struct Point {
  double intensity, gops;
  std::string name, type;
  bool ours;
};

std::vector<Point> points_of(const json& report) {
  std::vector<Point> points;
  for (const json& row : report["rows"]) {
    const double intensity = row["flops"].get<double>() / row["weight_bytes"].get<double>();
    for (const json& c : row["contenders"]) {
      const std::string name = c["name"].get<std::string>();
      const bool ours = name == "fused";
      if (!c["wrong"].get<std::string>().empty() || !c["verified"].get<bool>() || name == "unfused") continue;
      points.push_back({intensity, row["flops"].get<double>() / c["us"].get<double>() * 1e-3,
                        fmt::format("{} {} m={}: {}", row["type"].get<std::string>(), row["math"].get<std::string>(),
                                    row["m"].get<int64_t>(), name),
                        row["type"].get<std::string>(), ours});
    }
  }
  return points;
}

struct Axes {
  double x_low = 1, x_high = 10, y_low = 1, y_high = 10, top = 0;
  double x(double v) const { return kLeft + std::log(v / x_low) / std::log(x_high / x_low) * kWidth; }
  double y(double v) const { return top + kHeight - std::log(v / y_low) / std::log(y_high / y_low) * kHeight; }
};

std::string roof(const json& report, const Axes& axes) {
  std::string out;
  for (const json& row : report["rows"]) {
    if (!row.contains("bound")) continue;
    const double rate = row["bound"]["read_gbytes_per_second"].get<double>(),
                 peak = row["bound"]["peak_gops"].get<double>();
    const double knee = std::clamp(peak / rate, axes.x_low, axes.x_high);
    const auto height = [&](double v) { return axes.y(std::clamp(std::min(v * rate, peak), axes.y_low, axes.y_high)); };
    out += fmt::format("<polyline points=\"{:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f}\" fill=\"none\" stroke=\"{}\"/>\n",
                       axes.x(axes.x_low), height(axes.x_low), axes.x(knee), height(knee), axes.x(axes.x_high),
                       height(axes.x_high), "#9aa5b1");
  }
  return out;
}

std::string draw_roofline(const json& report, double top) {
  const std::vector<Point> points = points_of(report);
  if (points.empty()) return "";
  Axes axes{1e300, 0, 1e300, 0, top};
  for (const Point& p : points) {
    axes.x_low = std::min(axes.x_low, p.intensity / 2), axes.x_high = std::max(axes.x_high, p.intensity * 2);
    axes.y_low = std::min(axes.y_low, p.gops / 2), axes.y_high = std::max(axes.y_high, p.gops * 2);
  }
  std::string out = text_at(kLeft, top - 10, "start", 13, kInk,
                            "10^9 operations a second of one rank, over operations a byte of its weight");
  for (double decade = std::pow(10, std::floor(std::log10(axes.y_low))); decade <= axes.y_high; decade *= 10) {
    if (decade < axes.y_low) continue;
    out += fmt::format("<line x1=\"{1:.1f}\" y1=\"{0:.1f}\" x2=\"{2:.1f}\" y2=\"{0:.1f}\" stroke=\"{3}\"/>\n",
                       axes.y(decade), kLeft, kLeft + kWidth, kPale);
    out += text_at(kLeft - 8, axes.y(decade) + 4, "end", 11, kGrey, fmt::format("{:g}", decade));
  }
  for (double decade = std::pow(10, std::floor(std::log10(axes.x_low))); decade <= axes.x_high; decade *= 10) {
    if (decade < axes.x_low) continue;
    out += fmt::format("<line x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\" stroke=\"{3}\"/>\n",
                       axes.x(decade), top, top + kHeight, kPale);
    out += text_at(axes.x(decade), top + kHeight + 16, "middle", 11, kGrey, fmt::format("{:g}", decade));
  }
  out += roof(report, axes);
  std::map<std::string, const char*> colours;
  for (const Point& p : points) {
    const char* colour = colours.emplace(p.type, kColours[colours.size() % std::size(kColours)]).first->second;
    out += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\" stroke=\"{}\"><title>{}: {:.1f}"
        "</title></circle>\n",
        axes.x(p.intensity), axes.y(p.gops), p.ours ? colour : "white", colour, p.name, p.gops);
  }
  double y = top + 12;
  for (const auto& [type, colour] : colours) {
    out +=
        fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\"/>\n", kLeft + kWidth + 20, y - 4, colour);
    out += text_at(kLeft + kWidth + 32, y, "start", 12, kInk, type);
    y += 20;
  }
  return out + text_at(kLeft + kWidth + 14, y, "start", 11, kGrey, "hollow: other libraries");
}

}  // namespace

std::string op_svg(const json& report, const std::vector<LaneSpan>& lanes) {
  const double width = kLeft + kWidth + kLegend;
  double bottom = kTop;
  std::string body = text_at(kLeft, 28, "start", 18, kInk, "Products between ranks");
  const json& machine = report["machine"];
  body +=
      text_at(kLeft, 48, "start", 12, kGrey,
              fmt::format("{}, {} cores; {}; {}", machine["cpu"].get<std::string>(), machine["cores"].get<size_t>(),
                          report["communicator"].get<std::string>(), machine["date"].get<std::string>().substr(0, 10)));
  if (!report["rows"].empty()) {
    const json& row = report["rows"].back();
    body += text_at(
        kLeft, 66, "start", 12, kGrey,
        fmt::format("one call of {} {} m={} k={} n={}", row["op"].get<std::string>(), row["type"].get<std::string>(),
                    row["m"].get<int64_t>(), row["k"].get<int64_t>(), row["n"].get<int64_t>()));
  }
  body += draw_lanes(lanes, bottom);
  const double top = bottom + 60;
  body += draw_roofline(report, top);
  const double height = top + kHeight + 40;
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "font-family=\"Helvetica, Arial, sans-serif\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"#fcfdfe\"/>\n{2}</svg>\n",
      width, height, body);
}

}  // namespace tandem::bench::op
