// SPDX-License-Identifier: Apache-2.0
#include "tools/comparison_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>

#include "tandem/base/json.h"

namespace tandem::tool {
namespace {

using nlohmann::json;

constexpr size_t kReportLimit = size_t{256} << 20;
constexpr size_t kMostHistograms = 64;

constexpr const char* kHead =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Model comparison</title><style>"
    "body{font:14px sans-serif;margin:2em;max-width:60em}table{border-collapse:collapse}td,th{padding:2px 10px;"
    "text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}"
    "i{display:inline-block;height:10px;background:#4878a8}svg{background:#f6f6f6}</style>";

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') out += "&lt;";
    if (c == '&') out += "&amp;";
    if (c != '<' && c != '&') out += c;
  }
  return out;
}

std::string row(const std::string& name, const std::string& value) {
  return fmt::format("<tr><td>{}<td>{}</tr>\n", escaped(name), value);
}

std::string bar(double share) {
  return fmt::format("<i style=\"width:{:.0f}px\"></i>", 300 * std::clamp(share, 0.0, 1.0));
}

std::string summary_table(const PageFacts& facts) {
  std::string out = "<h1>Model comparison</h1><table>\n" + row("model", escaped(facts.model));
  if (!facts.against.empty()) out += row("against", escaped(facts.against));
  for (const auto& [name, value] : facts.summary.items()) {
    if (value.is_number())
      out += row(name, value.is_number_float() ? fmt::format("{:.6g}", value.get<double>()) : value.dump());
  }
  return out + "</table>\n";
}

std::string error_bars(const Figures& figures) {
  std::string out = "<h2>Error of the hidden state, by layer</h2><table><tr><th>layer<th>relative<th></tr>\n";
  double most = 1e-30;
  std::vector<double> errors;
  for (size_t layer = 0; layer < figures.error.size(); ++layer) {
    errors.push_back(std::sqrt(figures.error[layer] / std::max(figures.power[layer], 1e-30)));
    most = std::max(most, errors.back());
  }
  for (size_t layer = 0; layer < errors.size(); ++layer) {
    out += fmt::format("<tr><td>{}<td>{:.5f}<td style=\"text-align:left\">{}</tr>\n", layer, errors[layer],
                       bar(errors[layer] / most));
  }
  return out + "</table>\n";
}

std::string expert_load(const Figures& figures) {
  std::string out = "<h2>Load of the experts</h2><table><tr><th>layer<th>share of the choices, by expert</tr>\n";
  for (size_t layer = 0; layer < figures.load.size(); ++layer) {
    double total = 0;
    for (const int64_t count : figures.load[layer]) total += static_cast<double>(count);
    out += fmt::format("<tr><td>{}<td style=\"text-align:left\">", layer);
    for (const int64_t count : figures.load[layer]) {
      const double share = static_cast<double>(count) / std::max(total, 1.0);
      out += fmt::format("<i title=\"{:.3f}\" style=\"width:{:.0f}px;margin-right:1px\"></i>", share, 600 * share);
    }
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

// Counts of |x| as bars of their logarithm, the clip as a red line.
std::string histogram(const json& linear) {
  const auto counts = linear.value("histogram", std::vector<double>());
  const double range = linear.value("absmax", 0.0);
  if (counts.empty() || !(range > 0)) return {};
  const double most = std::log1p(*std::max_element(counts.begin(), counts.end()));
  const double step = 300.0 / static_cast<double>(counts.size());
  std::string out = "<svg width=\"300\" height=\"60\">";
  for (size_t i = 0; i < counts.size(); ++i) {
    const double height = 58 * std::log1p(std::max(counts[i], 0.0)) / std::max(most, 1e-9);
    out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"#4878a8\"/>",
                       step * static_cast<double>(i), 60 - height, step, height);
  }
  const double clip = 300 * std::min(linear.value("clip", range) / range, 1.0);
  return out + fmt::format("<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y2=\"60\" stroke=\"#c00\"/></svg>", clip);
}

std::string calibration(const std::string& folder) {
  const auto report = read_json(folder + "/tandem_quantize_report.json", kReportLimit);
  if (!report || !report->is_object() || !report->contains("linears") || !(*report)["linears"].is_array()) return {};
  std::string out =
      "<h2>Activations of calibration, and the clip</h2><table><tr><th>linear<th>type<th>clip<th>MSE<th></tr>\n";
  size_t shown = 0;
  for (const json& linear : (*report)["linears"]) {
    if (!linear.is_object() || !linear.contains("histogram") || ++shown > kMostHistograms) continue;
    out += fmt::format("<tr><td>{}<td>{}<td>{:.4g}<td>{:.4g}<td>{}</tr>\n", escaped(linear.value("name", "")),
                       escaped(linear.value("type", "")), linear.value("clip", 0.0), linear.value("mse", 0.0),
                       histogram(linear));
  }
  return out + "</table>\n";
}

}  // namespace

Status write_comparison_page(const std::string& path, const PageFacts& facts) {
  std::string page = kHead + summary_table(facts);
  if (!facts.against.empty()) page += error_bars(facts.figures);
  page += calibration(facts.model);
  if (facts.config.experts > 0) page += expert_load(facts.figures);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << page << "</html>\n";
  file.close();
  if (file) return {};
  return fail(ErrorCode::io, fmt::format("--report {}: {}", path, std::strerror(errno)));
}

}  // namespace tandem::tool
