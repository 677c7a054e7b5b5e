// SPDX-License-Identifier: Apache-2.0
//
// Who may come: block, unblock, blocked, limits, sources.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/tables.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

constexpr uint64_t kLongestS = 366 * 86400;
const Option kFleet{"fleet", "", "On all nodes that share an etcd, and on those that come later"};
constexpr uint64_t kUsualSources = 20, kMostSources = 1000;

Outcome change(const Invocation& invocation, json body) {
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  body["prefix"] = invocation.text("PREFIX");
  if (invocation.has("fleet")) body["fleet"] = true;
  const auto answer = client->post("/api/v1/blocked", body);
  if (!answer) return std::unexpected(answer.error());
  return show_answer(invocation, *answer, [&](const json& done) {
    const auto warning = done.at("warning").get<std::string>();
    return fmt::format("{}: {}{}\n", body.at("action").get<std::string>(), done.at("prefix").get<std::string>(),
                       invocation.has("fleet") ? ", on all nodes" : "") +
           (warning.empty() ? "" : "warning: " + printable(warning) + "\n");
  });
}

Outcome block(const Invocation& invocation) {
  json body{{"action", "block"}};
  const auto duration = invocation.seconds("for", 0, kLongestS);
  if (!duration) return std::unexpected(duration.error());
  if (invocation.has("for")) body["for_s"] = *duration;
  return change(invocation, std::move(body));
}

/// "hand", "fleet (root (uid 0) at edge1)"
std::string author_of(const json& entry) {
  const json& fleet = entry.at("fleet");
  std::string by = text_of(entry, "by");
  if (fleet.is_null()) return by;
  return printable(fmt::format("{} ({} at {})", by, text_of(fleet, "who"), text_of(fleet, "node")));
}

std::string table_of(const json& entries, bool colours) {
  TextTable table({"PREFIX", "BY", "SINCE", "UNTIL"});
  for (const json& entry : entries) {
    const auto time = [&](const char* name) {
      return entry.at(name).is_null() ? "-" : entry.at(name).get<std::string>();
    };
    table.add({entry.at("prefix").get<std::string>(), author_of(entry), time("since"), time("until")});
  }
  return table.to_string(colours);
}

std::string words_of(const json& prefixes) {
  std::string out;
  for (const json& prefix : prefixes) out += (out.empty() ? "" : ", ") + prefix.get<std::string>();
  return out.empty() ? "nobody" : out;
}

std::string view_of_one(const json& answer, bool colours) {
  std::string out = fmt::format("{}: {}\n", answer.at("of").get<std::string>(), answer.at("state").get<std::string>());
  if (answer.at("state") == "exempt") out += fmt::format("exempt: {}\n", words_of(answer.at("allow")));
  return answer.at("blocked").empty() ? out : out + table_of(answer.at("blocked"), colours);
}

std::string view_of_all(const json& answer, bool colours) {
  const json& file = answer.at("file");
  std::string out;
  if (const auto path = file.at("path").get<std::string>(); !path.empty()) {
    const json& loaded = file.at("loaded");
    out += fmt::format("{}: {} prefixes, {}\n", path, file.at("prefixes").get<uint64_t>(),
                       loaded.is_null() ? "of an earlier run" : "read " + loaded.get<std::string>());
    const auto fault = file.at("fault").get<std::string>();
    if (!fault.empty()) out += "refused as it is now: " + printable(fault) + "\n";
  }
  out += fmt::format("exempt: {}\n", words_of(answer.at("allow")));
  return answer.at("blocked").empty() ? out + "nobody is blocked by hand or gave offence\n"
                                      : out + "\n" + table_of(answer.at("blocked"), colours);
}

Outcome blocked(const Invocation& invocation) {
  const std::string of = invocation.text("PREFIX");
  if (of.empty()) {
    return show(invocation, "/api/v1/blocked",
                [&](const json& answer) { return view_of_all(answer, invocation.colours); });
  }
  return show(invocation, "/api/v1/blocked?of=" + path_segment(of),
              [&](const json& answer) { return view_of_one(answer, invocation.colours); });
}

std::string view_of_limits(const json& answer, bool colours) {
  if (answer.at("rules").empty()) return "no limits\n";
  TextTable rules({"RULE", "LIMIT", "REFUSED", "UNCOUNTED"});
  for (const json& rule : answer.at("rules")) {
    const json& refused = rule.at("refused");
    const auto count = [&](const char* name) { return refused.at(name).get<uint64_t>(); };
    rules.add({fmt::to_string(rule.at("rule").get<uint32_t>()), printable(rule.at("words").get<std::string>()),
               refused.is_null() ? "-" : fmt::to_string(count("connections") + count("rate") + count("handshakes")),
               refused.is_null() ? "-" : fmt::to_string(count("uncounted"))});
  }
  TextTable sources({"SOURCE", "RULE", "OPEN", "PER SECOND", "REFUSED", "AT LIMIT"});
  for (const json& source : answer.at("sources")) {
    const auto number = [&](const char* name) { return fmt::to_string(source.at(name).get<uint64_t>()); };
    const json& at_limit = source.at("at_limit");
    sources.add({source.at("prefix").get<std::string>(), number("rule"), number("open"), number("per_second"),
                 number("refused"), at_limit.is_null() ? "-" : at_limit.get<std::string>()});
  }
  std::string out = rules.to_string(colours);
  out += fmt::format("\n{} of {} sources\n", answer.at("sources").size(), answer.at("known").get<uint64_t>());
  return answer.at("sources").empty() ? out : out + sources.to_string(colours);
}

/// "blocked (hand)", "limit 2", "early talker"
std::string complaint_of(const json& source) {
  std::string out = text_of(source, "why");
  std::ranges::replace(out, '_', ' ');
  if (!source.at("by").is_null()) out += fmt::format(" ({})", text_of(source, "by"));
  if (!source.at("rule").is_null()) out += fmt::format(" {}", source.at("rule").get<uint64_t>());
  return printable(out);
}

/// What the counts are of, and what is not in them.
std::string heading_of(const json& answer) {
  std::string out = fmt::format("counted since {}, each until an hour after its last\n", text_of(answer, "since"));
  const auto seen = answer.at("sample").at("seen").get<uint64_t>();
  const auto unseen = answer.at("sample").at("unseen").get<uint64_t>();
  out += unseen == 0
             ? "every refused session of the last minute is in it\n"
             : fmt::format("a sample: of {} refused or unfinished sessions of the last minute, {} were looked at\n",
                           seen + unseen, seen);
  if (const json& dropped = answer.at("dropped"); !dropped.is_null())
    out += fmt::format("packets dropped, all of them: {} of blocked sources, {} of sources at a limit\n",
                       dropped.at("blocked").get<uint64_t>(), dropped.at("limit").get<uint64_t>());
  return out;
}

std::string view_of_sources(const json& answer, bool colours) {
  std::string out = heading_of(answer);
  if (answer.at("sources").empty()) return out + "nobody was refused or gave offence\n";
  TextTable sources({"SOURCE", "WHY", "LAST MINUTE", "COUNT", "LAST"});
  for (const json& source : answer.at("sources")) {
    const auto number = [&](const char* name) { return fmt::to_string(source.at(name).get<uint64_t>()); };
    sources.add({text_of(source, "prefix"), complaint_of(source), number("last_minute"), number("count"),
                 source.at("last").is_null() ? "-" : text_of(source, "last")});
  }
  return out + fmt::format("\n{} of {} sources\n", answer.at("sources").size(), answer.at("known").get<uint64_t>()) +
         sources.to_string(colours);
}

/// A view of the `top` of what `path` lists.
template <typename View>
Outcome show_top(const Invocation& invocation, std::string_view path, View view) {
  const auto top = invocation.number("top", kUsualSources, 1, kMostSources);
  if (!top) return std::unexpected(top.error());
  return show(invocation, fmt::format("{}?top={}", path, *top),
              [&](const json& answer) { return view(answer, invocation.colours); });
}

Outcome limits(const Invocation& invocation) {
  return show_top(invocation, "/api/v1/limits", view_of_limits);
}

Outcome sources(const Invocation& invocation) {
  return show_top(invocation, "/api/v1/sources", view_of_sources);
}

}  // namespace

Command block_command() {
  return {.name = "block",
          .help = "Let no new sessions in from a prefix; open ones go on",
          .arguments = {{.name = "PREFIX", .help = "Such as 192.0.2.0/24 or 2001:db8::/32, or an address"}},
          .options = {{"for", "TIME", "Only for this time (90s, 10m, 2h); for good without"}, kFleet},
          .run = block};
}

Command unblock_command() {
  return {.name = "unblock",
          .help = "Take back \"block\"",
          .arguments = {{.name = "PREFIX", .help = "As it was blocked"}},
          .options = {kFleet},
          .run = [](const Invocation& invocation) { return change(invocation, {{"action", "unblock"}}); }};
}

Command blocked_command() {
  return {.name = "blocked",
          .help = "What is blocked by hand and by file; or what blocks a prefix, and until when",
          .arguments = {{.name = "PREFIX", .help = "A prefix or an address", .required = false}},
          .run = blocked};
}

Command limits_command() {
  return {.name = "limits",
          .help = "The limits on sources, what they refuse, and which sources are at one",
          .options = {{"top", "N", "So many sources, those at a limit first; 20 without"}},
          .run = limits};
}

Command sources_command() {
  return {.name = "sources",
          .help = "Who is refused or gives offence lately, and why: blocks, limits, early talkers, guessed passwords",
          .options = {{"top", "N", "So many, the most active of the last minute first; 20 without"}},
          .run = sources};
}

}  // namespace sluice::ctl
