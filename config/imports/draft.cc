// SPDX-License-Identifier: Apache-2.0
#include "config/imports/draft.h"

#include <fmt/format.h>

#include "config/choices.h"
#include "config/imports/remarks.h"

namespace sluice::config::imports {

namespace {

/// libconfig's string.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : printable(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string seconds(Milliseconds value) {
  return fmt::format("{}.{:03}", value.count() / 1000, value.count() % 1000);
}

/// "name = value; " for what is there, in one line.
class Settings {
 public:
  Settings& text(std::string_view name, const std::string& value) {
    return value.empty() ? *this : put(name, quoted(value));
  }
  template <class T>
  Settings& number(std::string_view name, const std::optional<T>& value) {
    return value ? put(name, std::to_string(*value)) : *this;
  }
  Settings& time(std::string_view name, const std::optional<Milliseconds>& value) {
    return value ? put(name, seconds(*value)) : *this;
  }
  Settings& put(std::string_view name, const std::string& value) {
    out_ += fmt::format("{}{} = {};", out_.empty() ? "" : " ", name, value);
    return *this;
  }
  std::string str() const { return out_; }

 private:
  std::string out_;
};

std::string name_of_proxy(Proxy proxy) {
  return proxy == Proxy::kNone ? "" : std::string(name_of(proxy));
}

std::string check_text(const DraftCheck& check) {
  Settings out;
  out.text("type", std::string(name_of(check.type))).number("port", check.port).time("interval", check.interval);
  out.time("fast_interval", check.fast_interval).time("connect_timeout", check.connect_timeout);
  if (check.type != CheckType::kTcp) {
    out.time("greeting_timeout", check.reply_timeout).time("command_timeout", check.reply_timeout);
    out.text("expect", check.expect).text("reject", check.reject);
    if (check.soft_is_down) out.text("on_soft", "down");
  }
  out.text("proxy", name_of_proxy(check.proxy));
  if (check.type != CheckType::kTcp && check.type != CheckType::kBanner) out.text("helo", check.helo);
  out.number("rise", check.rise).number("fall", check.fall);
  return fmt::format("  {}: {{ {} }};\n", check.name, out.str());
}

std::string backend_text(const DraftBackend& backend) {
  Settings out;
  out.text("name", backend.name).text("address", backend.address).number("port", backend.port);
  out.number("weight", backend.weight).number("max_connections", backend.max_connections);
  out.number("tier", backend.tier).text("agent", backend.agent);
  return fmt::format("      {{ {} }}", out.str());
}

std::string pool_text(const DraftPool& pool) {
  Settings head;
  head.text("name", pool.name).text("check", pool.check).time("slow_start", pool.slow_start);
  head.time("agent_interval", pool.agent_interval);
  std::string out = fmt::format("  {{\n    {}\n    backends =\n    (\n", head.str());
  for (const DraftBackend& backend : pool.backends)
    out += backend_text(backend) + (&backend == &pool.backends.back() ? "\n" : ",\n");
  return out + "    );\n  }";
}

std::string service_text(const DraftService& service) {
  Settings out;
  out.text("name", service.name).text("vip", service.vip).put("port", std::to_string(service.port));
  out.text("pool", service.pool).text("check", service.check);
  if (service.scheduler != Scheduler::kMaglev) out.text("scheduler", std::string(name_of(service.scheduler)));
  if (service.hash_on != HashOn::kConnection) out.text("hash_on", std::string(name_of(service.hash_on)));
  if (service.forwarding != Forwarding::kNat) out.text("forwarding", std::string(name_of(service.forwarding)));
  out.text("proxy", name_of_proxy(service.proxy));
  out.number("mss", service.mss);
  if (service.keep_when_down) out.text("on_backend_down", "keep");
  return fmt::format("  {{ {} }}", out.str());
}

/// A list of groups, one after the other.
template <class T>
std::string list(std::string_view name, const std::vector<T>& things, std::string (*text)(const T&)) {
  std::string out = fmt::format("{} =\n(\n", name);
  for (const T& each : things) out += text(each) + (&each == &things.back() ? "\n" : ",\n");
  return out + ");\n";
}

/// The VIPs that nobody gave, said once.
std::string vip_note(const Draft& draft) {
  for (const DraftService& service : draft.services)
    if (service.vip_made_up) return "// TO DO: vip: the file listened on every address, so these are examples.\n";
  return "";
}

}  // namespace

std::string write_draft(const Draft& draft, const std::string& origin, const std::string& command) {
  std::string out = fmt::format("// Made from {} by {}.\n\n", printable(origin), command);
  out +=
      "// TO DO: instance: the name by which its units are started, sluice-control@NAME.\ninstance = \"sluice\";\n\n";
  out +=
      "dataplane:\n{\n  // TO DO: device: the network card's two ports; faces = \"both\" if there is one alone.\n  "
      "ports =\n  (\n"
      "    { name = \"front\"; device = \"0000:3b:00.0\"; faces = \"clients\"; },\n"
      "    { name = \"back\"; device = \"0000:3b:00.1\"; faces = \"backends\"; }\n  );\n";
  if (draft.established) out += fmt::format("  timers: {{ established = {}; }};\n", draft.established->count() / 1000);
  out += "};\n\n";
  if (!draft.checks.empty()) {
    out += "checks:\n{\n";
    for (const DraftCheck& check : draft.checks) out += check_text(check);
    out += "};\n\n";
  }
  return out + list("pools", draft.pools, pool_text) + "\n" + vip_note(draft) +
         list("services", draft.services, service_text);
}

}  // namespace sluice::config::imports
