// SPDX-License-Identifier: Apache-2.0
#include "controlplane/metrics/writer.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace sluice::control {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::array<std::string_view, 3> kTypeNames{"counter", "gauge", "histogram"};

bool is_continuation(unsigned char byte) {
  return (byte & 0xC0) == 0x80;
}

/// Length in bytes of the well-formed UTF-8 sequence that `text`, which is not empty, begins with; 0 if it begins with
/// none (Unicode 15, table 3-7).
size_t sequence_bytes(std::string_view text) {
  const auto at = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = at(0);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  const size_t bytes = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  const unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  if (at(1) < low || at(1) > high) return 0;
  for (size_t i = 2; i < bytes; i++)
    if (!is_continuation(static_cast<unsigned char>(at(i)))) return 0;
  return bytes;
}

/// `text` as it stands in HELP (`in_quotes` false) or between a label's quotes.
void append_escaped(std::string& out, std::string_view text, bool in_quotes) {
  while (!text.empty()) {
    const size_t bytes = sequence_bytes(text);
    const char c = text.front();
    if (bytes == 0) {
      out += kReplacement;
    } else if (c == '\\') {
      out += R"(\\)";
    } else if (c == '\n') {
      out += R"(\n)";
    } else if (c == '"' && in_quotes) {
      out += R"(\")";
    } else {
      out += text.substr(0, bytes);
    }
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
}

std::string to_text(double value) {
  std::array<char, 32> buffer;
  return {buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr};
}

}  // namespace

std::string label(std::string_view name, std::string_view value) {
  std::string out(name);
  out += "=\"";
  append_escaped(out, value, true);
  out += '"';
  return out;
}

std::string joined(std::string_view first, std::string_view second) {
  std::string out(first);
  if (!first.empty() && !second.empty()) out += ',';
  out += second;
  return out;
}

void MetricsWriter::begin(std::string_view name, MetricType type, std::string_view help) {
  name_ = name;
  declaration_ = "# HELP ";
  declaration_ += name;
  declaration_ += ' ';
  append_escaped(declaration_, help, false);
  declaration_ += "\n# TYPE ";
  declaration_ += name;
  declaration_ += ' ';
  declaration_ += kTypeNames[static_cast<size_t>(type)];
  declaration_ += '\n';
}

void MetricsWriter::add(std::string_view labels, uint64_t value, std::string_view more) {
  head("", labels, more);
  number(value);
}

void MetricsWriter::add(std::string_view labels, double value, std::string_view more) {
  head("", labels, more);
  number(value);
}

void MetricsWriter::add(std::string_view labels, const HistogramSamples& histogram) {
  uint64_t count = 0;
  for (size_t i = 0; i < histogram.buckets.size(); i++) {
    count += histogram.buckets[i];
    const bool bounded = i < histogram.bounds.size();
    head("_bucket", labels, label("le", bounded ? to_text(histogram.bounds[i]) : "+Inf"));
    number(count);
  }
  head("_sum", labels, {});
  number(histogram.sum);
  head("_count", labels, {});
  number(count);
}

std::string MetricsWriter::take() {
  declaration_.clear();
  return std::exchange(out_, {});
}

void MetricsWriter::head(std::string_view suffix, std::string_view labels, std::string_view more) {
  out_ += std::exchange(declaration_, {});
  out_ += name_;
  out_ += suffix;
  if (!labels.empty() || !more.empty()) {
    out_ += '{';
    out_ += labels;
    if (!labels.empty() && !more.empty()) out_ += ',';
    out_ += more;
    out_ += '}';
  }
  out_ += ' ';
}

void MetricsWriter::number(uint64_t value) {
  std::array<char, 24> buffer;
  out_.append(buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr);
  out_ += '\n';
}

void MetricsWriter::number(double value) {
  if (std::isnan(value)) {
    out_ += "NaN";
  } else if (std::isinf(value)) {
    out_ += value > 0 ? "+Inf" : "-Inf";
  } else {
    out_ += to_text(value);
  }
  out_ += '\n';
}

}  // namespace sluice::control
