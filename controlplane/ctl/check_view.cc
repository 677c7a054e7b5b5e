// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/check_view.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

std::string text_of(const json& object, const char* name) {
  return printable(object.at(name).get<std::string>());
}

std::string in_ms(const json& object) {
  return fmt::format("{:.3f} ms", object.at("us").get<double>() / 1000);
}

/// '>' for what we said, '<' for what the server said, '*' for the rest.
char mark(const std::string& speaker) {
  return speaker == "probe" ? '>' : speaker == "server" ? '<' : '*';
}

std::string verdict(const json& check, bool colours) {
  const bool passed = check.at("passed").get<bool>();
  std::string fact = text_of(check, "fact");
  if (colours) fact = fmt::format("\x1b[{}m{}\x1b[0m", passed ? 32 : 31, fact);
  std::string out = fmt::format("verdict: {} at {}", fact, text_of(check, "step"));
  if (const std::string detail = text_of(check, "detail"); !detail.empty()) out += ": " + detail;
  if (const std::string text = text_of(check, "text"); !text.empty() && !passed) out += ": " + text;
  return out + "\n";
}

}  // namespace

std::string view_of_check(const json& answer, bool colours) {
  std::string out;
  for (const json& check : answer.at("checks")) {
    const std::string address = text_of(check, "address");
    out += fmt::format("{}{}, check {}, {} port {}\n", out.empty() ? "" : "\n", text_of(answer, "backend"),
                       text_of(check, "check"), address, check.at("port").get<uint16_t>());
    for (const json& line : check.at("dialogue"))
      out += fmt::format("{:>12} {} {}\n", in_ms(line), mark(line.at("speaker").get<std::string>()),
                         text_of(line, "text"));
    out += verdict(check, colours);
    out += "times:";
    for (const json& time : check.at("times")) out += fmt::format(" {} {}", text_of(time, "step"), in_ms(time));
    out += "\n";
  }
  return out;
}

}  // namespace sluice::ctl
