// SPDX-License-Identifier: Apache-2.0
#include "config/haproxy/check_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/schema/pattern.h"

namespace sluice::config::haproxy {

namespace {

constexpr std::array<std::string_view, 6> kNotMail{"httpchk",     "ldap-check",  "mysql-check",
                                                   "pgsql-check", "redis-check", "external-check"};

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

/// A pattern that finds `text` as it is.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view(R"(\^$.[]|()?*+{}/-)").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

/// "EHLO name" and the end of the line -> "name".
std::string name_after_command(const std::string& text) {
  const size_t begin = std::min(text.find(' ') + 1, text.size());
  const std::string name = text.substr(begin, text.find_first_of("\r\n ", begin) - begin);
  return text.find(' ') == std::string::npos ? "" : name;
}

void read_connect(const Line& line, CheckPlan& plan, Remarks& remarks) {
  if (plan.connects) return remarks.leave_out(line.number, "tcp-check connect: a check makes one connection");
  plan.connects = true;
  for (size_t i = 2; i < line.words.size(); i++) {
    const std::string& word = line.words[i];
    if (word == "ssl") {
      plan.type = CheckType::kSmtps;
    } else if (word == "send-proxy") {
      plan.proxy = true;
    } else if (word == "default") {
      plan.connects_as_traffic = true;
    } else if (const auto port = parse_number(line.word(i + 1), 1, 65535); word == "port" && port) {
      plan.port = static_cast<uint16_t>(*port);
      i++;
    } else if (word == "comment" || word == "sni" || word == "alpn" || word == "proto") {
      i++;
    } else if (word != "linger") {
      remarks.leave_out(line.number, fmt::format("tcp-check connect {}: not known to the import", word));
    }
  }
}

void read_send(const Line& line, CheckPlan& plan, Remarks& remarks) {
  const std::string text = upper(line.word(2));
  if (text.starts_with("EHLO") || text.starts_with("HELO")) {
    plan.after_hello = true;
    if (plan.type == CheckType::kTcp || plan.type == CheckType::kBanner) plan.type = CheckType::kEhlo;
    plan.helo = name_after_command(line.word(2));
  } else if (text.starts_with("STARTTLS")) {
    plan.type = CheckType::kStarttls;
  } else if (!text.starts_with("QUIT")) {
    remarks.leave_out(line.number, fmt::format("tcp-check send \"{}\": a check says EHLO, STARTTLS and QUIT, no other "
                                               "command",
                                               line.word(2)));
  }
}

/// Whether a pattern asks for no more than a reply's code, which every step of ours does.
bool is_answer(std::string_view pattern) {
  return pattern.find_first_not_of("^ -2350[]") == std::string_view::npos;
}

void read_expect(const Line& line, CheckPlan& plan, Remarks& remarks) {
  size_t i = 2;
  bool bounded = false;
  for (; line.word(i) == "comment" || line.word(i) == "min-recv"; i += 2) bounded |= line.word(i) == "min-recv";
  const bool negated = line.word(i) == "!";
  if (negated && !bounded)
    remarks.warn(
        line.number,
        "tcp-check expect ! without min-recv: HAProxy read on until a time-out, for a mail server says no more, "
        "and took it for down; here the greeting is judged");
  if (negated) i++;
  const std::string& kind = line.word(i);
  const std::string& text = line.word(i + 1);
  if (plan.after_hello) {
    if (!is_answer(text))
      remarks.leave_out(line.number, fmt::format("tcp-check expect {} \"{}\": EHLO has to be answered with 250, and "
                                                 "`require` in the check asks for a keyword",
                                                 kind, text));
    return;
  }
  if (plan.type == CheckType::kTcp) plan.type = CheckType::kBanner;
  const std::string pattern = kind == "rstring" ? text : kind == "string" ? escaped(text) : "";
  if (pattern.empty())
    return remarks.leave_out(line.number, fmt::format("tcp-check expect {}: only string and rstring are taken", kind));
  if (const std::string fault = pattern_fault(pattern); !fault.empty())
    return remarks.leave_out(line.number, fmt::format("the pattern \"{}\" {}", pattern, fault));
  std::string& wanted = negated ? plan.reject : plan.expect;
  if (!wanted.empty()) return remarks.leave_out(line.number, "a check has one pattern for the greeting");
  wanted = pattern;
}

}  // namespace

bool is_check_option(const Line& line) {
  static constexpr std::array<std::string_view, 3> kMail{"smtpchk", "ssl-hello-chk", "tcp-check"};
  return std::ranges::find(kMail, line.word(1)) != kMail.end() ||
         std::ranges::find(kNotMail, line.word(1)) != kNotMail.end();
}

void read_check_option(const Line& line, CheckPlan& plan, Remarks& remarks) {
  const std::string& name = line.word(1);
  if (name == "smtpchk") {
    plan = CheckPlan{.type = CheckType::kEhlo, .helo = line.word(3)};
  } else if (name == "ssl-hello-chk") {
    plan = CheckPlan{.type = CheckType::kSmtps};
  } else if (name == "tcp-check") {
    if (!plan.by_steps) plan = CheckPlan{.by_steps = true};  // steps that stand in defaults go on to hold
  } else if (is_check_option(line)) {
    remarks.leave_out(line.number, fmt::format("option {}: no check of a mail server", name));
  }
}

void read_check_step(const Line& line, CheckPlan& plan, Remarks& remarks) {
  if (!plan.by_steps) return remarks.leave_out(line.number, "tcp-check without `option tcp-check` does nothing");
  if (plan.inherited) plan = CheckPlan{.by_steps = true};
  const std::string& step = line.word(1);
  if (step == "connect") return read_connect(line, plan, remarks);
  if (step == "send") return read_send(line, plan, remarks);
  if (step == "expect") return read_expect(line, plan, remarks);
  if (step != "comment") remarks.leave_out(line.number, fmt::format("tcp-check {}: not known to the import", step));
}

}  // namespace sluice::config::haproxy
