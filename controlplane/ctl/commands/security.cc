// SPDX-License-Identifier: Apache-2.0
//
// What a mail server that takes security seriously would make of the backends.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/tables.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

Colour colour_of(const std::string& state) {
  if (state == "matches" || state == "agrees") return Colour::kGood;
  if (state == "mismatch" || state == "disagrees") return Colour::kBad;
  return state == "no_records" || state == "no_policy" ? Colour::kNone : Colour::kCaution;
}

Cell finding(const json& found) {
  if (found.is_null()) return "-";
  const std::string state = text_of(found, "state");
  return {state, colour_of(state)};
}

Cell starttls(const json& offered) {
  if (offered.is_null()) return "-";
  return offered.get<bool>() ? Cell{"offered", Colour::kGood} : Cell{"missing", Colour::kBad};
}

std::string day_or_dash(const json& time) {
  constexpr size_t kDay = 10;  // characters of "2026-12-01"
  return time.is_null() ? "-" : printable(time.get<std::string>()).substr(0, kDay);
}

/// Reasons of what is not well, each once, with those whom it is about.
std::string reasons(const json& backends, const char* what) {
  std::map<std::string, std::string> names;
  for (const json& backend : backends) {
    const json& found = backend.at(what);
    if (found.is_null() || colour_of(text_of(found, "state")) == Colour::kGood) continue;
    const std::string why = printable(text_of(found, "why"));
    if (why.empty()) continue;
    std::string& who = names[why];
    who += (who.empty() ? "" : ", ") + printable(text_of(backend, "name"));
  }
  std::string out;
  for (const auto& [why, who] : names) out += fmt::format("  {}: {}: {}\n", what, who, why);
  return out;
}

std::string view_of_pool(const json& pool, bool colours) {
  const std::string check = printable(text_of(pool, "check")), name = printable(text_of(pool, "server_name"));
  std::string out = fmt::format("{}:{} ({}), {}\n", printable(text_of(pool, "pool")), pool.at("port").get<int>(), check,
                                name.empty() ? "no name is asked for" : name);
  TextTable table({"BACKEND", "STARTTLS", "CERTIFICATE ENDS", "DANE", "MTA-STS"});
  for (const json& backend : pool.at("backends"))
    table.add({printable(text_of(backend, "name")), starttls(backend.at("starttls")),
               day_or_dash(backend.at("not_after")), finding(backend.at("dane")), finding(backend.at("mta_sts"))});
  out += table.to_string(colours) + reasons(pool.at("backends"), "dane") + reasons(pool.at("backends"), "mta_sts");
  for (const char* fault : {"starttls_fault", "certificate_fault"})
    if (const std::string words = text_of(pool, fault); !words.empty()) out += "  " + printable(words) + "\n";
  if (const json& expiry = pool.at("expiry"); !expiry.is_null() && expiry.at("first") != expiry.at("last"))
    out += fmt::format("  certificates end from {} ({}) to {} ({})\n", day_or_dash(expiry.at("first")),
                       printable(text_of(expiry, "first_backend")), day_or_dash(expiry.at("last")),
                       printable(text_of(expiry, "last_backend")));
  return out + "\n";
}

std::string view_of_records(const json& known) {
  std::string out = printable(text_of(known, "name")) + ": ";
  if (const std::string fault = text_of(known, "fault"); !fault.empty())
    out += printable(fault) + (known.at("answered").is_null() ? "" : "; the last answer stays in use") + "\n";
  else if (known.at("answered").is_null())
    return out + "not answered yet\n";
  else if (known.at("records").empty())
    return out + "no records\n";
  else
    out += known.at("authenticated").get<bool>() ? "authenticated\n" : "not authenticated\n";
  for (const json& record : known.at("records")) {
    const std::string unusable = printable(text_of(record, "unusable"));
    out += fmt::format("  {}{}\n", printable(text_of(record, "record")), unusable.empty() ? "" : "  " + unusable);
  }
  return out;
}

std::string view_of_signature(const json& known) {
  const std::string state = text_of(known, "state"), fault = printable(text_of(known, "fault"));
  const std::string words = state == "signed"       ? "signed"
                            : state == "not_signed" ? "not signed: senders do without DANE"
                            : state == "none"       ? "no records"
                            : state == "dns_fails"  ? fault
                                                    : "not answered yet";
  const bool stays = !fault.empty() && !known.at("answered").is_null();
  return fmt::format("{} {}: {}{}\n", printable(text_of(known, "name")), printable(text_of(known, "type")), words,
                     stays ? "; kept: " + fault : "");
}

std::string view_of_policy(const json& policy, const std::string& now) {
  std::string out = printable(text_of(policy, "domain")) + ": ";
  if (policy.at("id").is_null()) {
    const std::string fault = printable(text_of(policy, "fault"));
    return out + (fault.empty() ? "not read yet" : fault) + "\n";
  }
  out += fmt::format("policy {}, mode {}, fetched {} ago", printable(text_of(policy, "id")),
                     printable(text_of(policy, "mode")), time_between(text_of(policy, "fetched"), now));
  if (const std::string fault = text_of(policy, "fault"); !fault.empty()) out += "; kept: " + printable(fault);
  out += "\n";
  for (const json& mx : policy.at("mx")) out += "  mx " + printable(mx.get<std::string>()) + "\n";
  return out;
}

std::string view_of_security(const json& answer, bool colours) {
  if (answer.at("pools").empty()) return "no check speaks TLS: type = \"starttls\" or \"smtps\"\n";
  std::string out;
  for (const json& pool : answer.at("pools")) out += view_of_pool(pool, colours);
  for (const json& known : answer.at("records")) out += view_of_records(known);
  for (const json& known : answer.at("signatures")) out += view_of_signature(known);
  for (const json& policy : answer.at("policies")) out += view_of_policy(policy, text_of(answer, "time"));
  return out;
}

}  // namespace

Command security_command() {
  return {.name = "security",
          .help = "STARTTLS, certificates, DANE and MTA-STS: what mail servers that go by them make of the backends",
          .run = [](const Invocation& invocation) {
            return show(invocation, "/api/v1/security",
                        [&](const json& answer) { return view_of_security(answer, invocation.colours); });
          }};
}

}  // namespace sluice::ctl
