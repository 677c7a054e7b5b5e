// SPDX-License-Identifier: Apache-2.0
//
// To add a setting: a member with its default in config/model.h or config/model_dataplane.h, a line here (of the
// data plane: settings_dataplane.cc; of who may come: settings_sources.cc; of what is told to others:
// settings_network.cc), and `ninja -C build update-reference`.
// What spans several settings is in config/schema/rules.cc; the words of enumerations are in config/choices.h.
#include "config/schema/settings.h"

#include "config/bounds.h"
#include "config/schema/settings_of.h"

namespace sluice::config {

namespace {

constexpr Range kTcpPort{1, 65535};

Group<Control> log_settings() {
  return {
      choice("level", &Control::log_level, "the least that is logged"),
      choice("format", &Control::log_format, "lines for people, or JSON objects"),
  };
}

Group<HttpTls> http_tls_settings() {
  return {
      required(
          text("cert_file", &HttpTls::cert_file, file_rule(), "the certificate, with those between it and its root")),
      required(text("key_file", &HttpTls::key_file, file_rule(), "the key of that certificate")),
      text("client_ca_file", &HttpTls::client_ca_file, file_rule(),
           "certificates of those who vouch for clients: only who shows a certificate is served, and may read from "
           "anywhere; \"\" = clients show none"),
  };
}

Group<Control> control_settings() {
  return {
      defaults_to("control.sock in the runtime directory",
                  text("api", &Control::api, socket_path_rule(), "the Unix socket that sluicectl speaks to")),
      text("http", &Control::http, listen_address_rule(), "where metrics, API and page are served; \"\" = nowhere"),
      texts("http_names", &Control::http_names, host_rule(), kMaxHttpNames,
            "names by which `http` is asked for, besides addresses and localhost; others are refused, as a browser may "
            "have been misled to come here"),
      text(
          "token_file", &Control::token_file, file_rule(),
          "file with the bearer token by which changes may be made over `http`, readable by its owner and group alone; "
          "\"\" = none, changes only over `api`"),
      text("read_token_file", &Control::read_token_file, file_rule(),
           "likewise of a token by which others may read, and change nothing"),
      text("placement_secret_file", &Control::placement_secret_file, file_rule(),
           "file with a secret by which clients are placed, the same on all nodes that share VIPs, written and guarded "
           "like a token; without one, clients can reckon which of their ports lead to one mail server"),
      optional_group("tls", &Control::tls, http_tls_settings(), "`http` is served under TLS, 1.2 and up"),
      defaults_to("the process' own", text("api_group", &Control::api_group, group_rule(),
                                           "group whose members may use `api`, which may change everything")),
      defaults_to("/var/lib/sluice/INSTANCE", text("state", &Control::state, directory_rule(),
                                                   "directory of what outlives the process: changes by hand, events")),
      section("log", log_settings(), "what is logged, and how"),
  };
}

bool reads_greeting(const Check& check) {
  return check.type != CheckType::kTcp;
}

bool says_ehlo(const Check& check) {
  return check.type == CheckType::kEhlo || check.type == CheckType::kStarttls || check.type == CheckType::kSmtps;
}

bool speaks_tls(const Check& check) {
  return check.type == CheckType::kStarttls || check.type == CheckType::kSmtps;
}

Group<Check> check_settings() {
  const auto speaking = [](Field<Check> field) {
    return only_with("type", "a type other than \"tcp\"", reads_greeting, std::move(field));
  };
  const auto matching = [&](Field<Check> field) { return defaults_to("none", speaking(std::move(field))); };
  const auto conversing = [](Field<Check> field) {
    return only_with("type", "type = \"ehlo\", \"starttls\" or \"smtps\"", says_ehlo, std::move(field));
  };
  const auto secure = [](Field<Check> field) {
    return only_with("type", "type = \"starttls\" or \"smtps\"", speaks_tls, std::move(field));
  };
  const auto of_domain = [](Field<Check> field) {
    const auto asks_dns = [](const Check& check) { return check.tlsa || check.mta_sts; };
    return only_with<Check>("mta_sts", "tlsa = true or mta_sts = true", asks_dns, std::move(field));
  };
  const auto shedding = [](Field<Check> field) {
    const auto sheds = [](const Check& check) { return check.on_soft == OnSoft::kShed; };
    return only_with<Check>("on_soft", "on_soft = \"shed\"", sheds, std::move(field));
  };
  return {
      choice("type", &Check::type,
             "how far the probe goes: the handshake, the greeting, EHLO, or TLS (by STARTTLS, or from the first byte)"),
      defaults_to("the traffic's", integer("port", &Check::port, kTcpPort, "the port it looks at")),
      seconds("interval", &Check::interval, {0.1, 3600, "s"}, "between two probes"),
      number("jitter", &Check::jitter, {0, 0.5}, "share of the interval by which it varies, either way"),
      defaults_to("1, or `interval` if that is less", seconds("fast_interval", &Check::fast_interval, {0.1, 3600, "s"},
                                                              "between two probes while the state is changing")),
      seconds("connect_timeout", &Check::connect_timeout, {0.01, 300, "s"}, "until a connection counts as dead"),
      speaking(seconds("greeting_timeout", &Check::greeting_timeout, {0.01, 600, "s"},
                       "until a greeting that is not complete counts as silence")),
      speaking(
          seconds("command_timeout", &Check::command_timeout, {0.01, 600, "s"}, "until a reply counts as missing")),
      integer("rise", &Check::rise, {1, 100}, "good probes in a row until a backend is up"),
      integer("fall", &Check::fall, {1, 100}, "bad probes in a row until a backend is down"),
      matching(text("expect", &Check::expect, pattern_rule(), "pattern that the greeting has to match")),
      matching(text("reject", &Check::reject, pattern_rule(), "pattern that the greeting must not match")),
      choice("proxy", &Check::proxy, "the PROXY header that the probe sends first (v2: LOCAL)"),
      defaults_to("its address, in brackets",
                  conversing(text("helo", &Check::helo, host_rule(), "what the probe calls itself"))),
      conversing(texts("require", &Check::require, keyword_rule(), kMaxKeywords,
                       "EHLO keywords that must be offered, before or after TLS")),
      defaults_to("none", secure(text("server_name", &Check::server_name, host_rule(),
                                      "the name asked for (SNI) and, with `verify`, held against the certificate"))),
      secure(boolean("verify", &Check::verify, "hold the certificate's chain and name against `ca_file`")),
      defaults_to("the system's",
                  secure(text("ca_file", &Check::ca_file, file_rule(), "certificates that are trusted, in PEM"))),
      secure(integer("certificate_warn_days", &Check::certificate_warn_days, {0, 3650},
                     "fewer days of validity left are reported")),
      secure(integer("certificate_fail_days", &Check::certificate_fail_days, {0, 3650},
                     "so few days of validity left, or fewer, are a fault of the certificate")),
      defaults_to("\"down\" with `verify`, else \"warn\"",
                  secure(choice("certificate_action", &Check::certificate_action,
                                "what follows from a certificate that has expired or, with `verify`, is not accepted: "
                                "it is reported, or the backend gets no new sessions, as long as no more than the "
                                "pool's `panic_share` goes that way"))),
      secure(boolean("tlsa", &Check::tlsa,
                     "hold certificates against the TLSA records (DANE) of `server_name` at the services' ports; what "
                     "does not agree is reported, and takes nobody out")),
      secure(boolean("mta_sts", &Check::mta_sts,
                     "hold `server_name` and certificates against the MTA-STS policy of `mail_domain`; likewise")),
      defaults_to(
          "`server_name` without its first label",
          of_domain(text("mail_domain", &Check::mail_domain, domain_rule(),
                         "the domain whose mail is taken here: whose policy is looked up, and whose MX records"))),
      speaking(
          choice("on_soft", &Check::on_soft,
                 "what follows when the server goes on to answer 4xx: it keeps `soft_weight` of its weight and all "
                 "its sessions, or it is down")),
      shedding(number("soft_weight", &Check::soft_weight, {0, 1}, "share of its weight that it keeps then")),
  };
}

Group<WarmUp> warm_up_settings() {
  const auto by_curve = [](Field<WarmUp> field) {
    const auto has_no_table = [](const WarmUp& warm_up) { return warm_up.table.empty(); };
    return only_with<WarmUp>("table", "no `table`", has_no_table, std::move(field));
  };
  return {
      required(date("start", &WarmUp::start, "the first day, from 00:00 UTC; before it, the backend gets nothing")),
      by_curve(integer("days", &WarmUp::days, {1, kMaxWarmUpDays, "days"}, "until the whole share")),
      by_curve(number("from", &WarmUp::from, {0.0001, 1}, "share of its weight that counts on the first day")),
      by_curve(choice("curve", &WarmUp::curve, "how it grows: by equal steps, or by equal factors")),
      numbers("table", &WarmUp::table, {0, 1}, kMaxWarmUpDays, "share of its weight on each day, after which it is 1"),
  };
}

Group<Backend> backend_settings() {
  return {
      required(text("name", &Backend::name, name_rule(), "its name within the pool; placement depends on it")),
      address("address", &Backend::address, "where it is"),
      integer("weight", &Backend::weight, {0, 65535}, "share of new flows, relative to the others; 0 = none"),
      defaults_to("the service's", integer("port", &Backend::port, kTcpPort, "the port it listens on")),
      integer("max_connections", &Backend::max_connections, {0, 10'000'000},
              "open at once, at each of its ports; 0 = no limit"),
      optional_group("warm_up", &Backend::warm_up, warm_up_settings(), "the slow start of a new address, in days"),
      integer("tier", &Backend::tier, {0, kMaxTier},
              "it takes traffic only when the backends of all lower tiers are out"),
      defaults_to("none: as near as the node's own zone",
                  text("zone", &Backend::zone, node_rule(),
                       "where it is: another zone than `fleet.zone` gets what the own one cannot carry")),
      socket_address("agent", &Backend::agent,
                     "a program on the mail server that says how much it can take (HAProxy's agent-check protocol)"),
  };
}

Group<Passive> passive_settings() {
  return {
      boolean("enabled", &Passive::enabled, "false: the pool's dialogues are not watched, and their figures stay at 0"),
      integer("max_greeting_ms", &Passive::max_greeting_ms, {1, 600'000, "ms"}, "time that most greetings take"),
      number("max_greeting_ratio", &Passive::max_greeting_ratio, {1, 1000},
             "the same, over the median of the other backends"),
      number("max_soft_ratio", &Passive::max_soft_ratio, {0, 1},
             "share that is put off: 4xx greetings, 421 in mid-session"),
      number("max_refused_ratio", &Passive::max_refused_ratio, {0, 1}, "share that is refused: 5xx greetings"),
      number("max_failed_ratio", &Passive::max_failed_ratio, {0, 1}, "share of handshakes that it does not complete"),
      integer("min_samples", &Passive::min_samples, {1, 1'000'000}, "connections that it takes to judge a backend"),
      seconds("interval", &Passive::interval, {0.1, 3600, "s"}, "between two judgements"),
      seconds("cooldown", &Passive::cooldown, {0, 86400, "s"},
              "after a change, until weight is given back at the soonest"),
  };
}

Group<Discover> discover_settings() {
  const auto of_dns = [](Field<Discover> field) {
    const auto asks = [](const Discover& discover) { return !discover.dns.empty(); };
    return only_with<Discover>("dns", "`dns`", asks, std::move(field));
  };
  const auto of_srv = [](Field<Discover> field) {
    const auto asks = [](const Discover& discover) { return discover.type == DnsType::kSrv; };
    return only_with<Discover>("type", "type = \"SRV\"", asks, std::move(field));
  };
  return {
      text("file", &Discover::file, file_rule(),
           "a JSON document with `backends`, each as in `pools[].backends`; read again when it changes"),
      text("dns", &Discover::dns, domain_rule(),
           "a name whose records are the members; asked again when their TTL is over"),
      boolean("etcd", &Discover::etcd,
              "true: the members are those that are registered for the pool in etcd (`fleet.etcd`)"),
      of_dns(choice("type", &Discover::type,
                    "which records; those of SRV say port, weight and, by priority, tier, and lead to names")),
      of_srv(choice("family", &Discover::family, "which addresses of those names")),
      of_dns(defaults_to("those of /etc/resolv.conf",
                         socket_addresses("servers", &Discover::servers, kMaxDnsServers,
                                          "whom to ask, one after the other", server_address_fault))),
  };
}

Group<Pool> pool_settings() {
  return {
      required(text("name", &Pool::name, name_rule(), "what services call it")),
      defaults_to("none, taken as healthy", text("check", &Pool::check, check_rule(), "a check of `checks`")),
      integer("min_healthy", &Pool::min_healthy, {0, kMaxBackends},
              "with fewer backends up, the pool is out of service"),
      number("max_shed", &Pool::max_shed, {0, 1}, "share of the pool's weight that `passive` may take away"),
      number(
          "panic_share", &Pool::panic_share, {0, 1},
          "where more of the pool than this fails at once, the cause is taken to lie between us and it: new sessions "
          "go on to be placed as before, and open ones are kept"),
      seconds("panic_hold", &Pool::panic_hold, {0, 86400, "s"},
              "for so long; also how long a verdict may be waited for after the way to the pool was interrupted"),
      list("backends", &Pool::backends, backend_settings(), kMaxBackends, "its members"),
      optional_group("discover", &Pool::discover, discover_settings(),
                     "where members come from that are not in this file"),
      seconds("slow_start", &Pool::slow_start, {0, 3600, "s"},
              "from a backend's recovery to its full weight; 0 = at once"),
      seconds("tier_hold", &Pool::tier_hold, {0, 3600, "s"},
              "a lower tier has to be back for so long before it takes the traffic again"),
      number(
          "zone_headroom", &Pool::zone_headroom, {1, 1000},
          "how many times what they usually carry the backends of the own zone can: beyond that, others get the rest"),
      seconds("agent_interval", &Pool::agent_interval, {0.1, 3600, "s"}, "between two questions to an agent"),
      choice("on_removal", &Pool::on_removal,
             "what happens to the open sessions of a backend, or of a service of this pool, that leaves the file"),
      seconds("removal_deadline", &Pool::removal_deadline, {1, 604'800, "s"},
              "such a drain lasts no longer; what is left then is cut"),
      group("passive", &Pool::passive, passive_settings(),
            "what the traffic may show before weight is taken from a backend"),
  };
}

Group<Service> service_settings() {
  return {
      required(text("name", &Service::name, name_rule(), "what the operator calls it")),
      address("vip", &Service::vip, "the address that clients connect to"),
      integer("port", &Service::port, kTcpPort, "the port that clients connect to"),
      required(text("pool", &Service::pool, pool_rule(), "a pool of `pools`")),
      defaults_to("the pool's", text("check", &Service::check, check_rule(), "a check of `checks`")),
      choice("scheduler", &Service::scheduler, "how new flows are placed"),
      integer("table_size", &Service::table_size, {kMinTableSize, kMaxTableSize},
              "entries of the Maglev table; a prime"),
      choice("hash_on", &Service::hash_on, "what of a client decides its place; a prefix is a /24 or /64"),
      choice("forwarding", &Service::forwarding, "how packets reach the backend"),
      choice("proxy", &Service::proxy, "the PROXY header that backends get"),
      choice("on_backend_down", &Service::on_backend_down, "what happens to established flows of a backend that died"),
      defaults_to("\"421\"; \"reset\" on 465 and with a check of type \"smtps\", as clients speak first there",
                  choice("on_no_backend", &Service::on_no_backend,
                         "what a client hears whose connection no backend can take: a 421 reply, RST, or nothing")),
      text("text_421", &Service::text_421, refusal_rule(), "what stands behind 421 in that reply"),
      defaults_to(
          "\"auto\"; \"off\" with a forwarding that sees one half of a connection",
          choice("syn_proxy", &Service::syn_proxy,
                 "who answers SYNs: we, with nothing kept until the client has answered us; \"auto\": we, while "
                 "handshakes pile up, else the backend")),
      integer("mss", &Service::mss, {0, kMaxMss, "bytes"},
              "the largest segment that SYNs may announce; 0 = as they do, but no more than a tunnel carries whole"),
      defaults_to("`dataplane.timers.established`",
                  integer("idle_timeout", &Service::idle_timeout, {1, 604800, "s"},
                          "until an idle established flow of it is forgotten; below 660 only with "
                          "`dataplane.timers.force`")),
  };
}

Group<Config> all_settings() {
  return {
      text("instance", &Config::instance, name_rule(), "names the runtime directory, /run/sluice/INSTANCE"),
      group("dataplane", &Config::dataplane, dataplane_settings(), "the process that moves packets"),
      group("control", &Config::control, control_settings(), "the process that decides"),
      named_groups("checks", &Config::checks, check_settings(), kMaxChecks, "health checks, by name"),
      list("pools", &Config::pools, pool_settings(), kMaxPools, "backends that serve the same"),
      list("services", &Config::services, service_settings(), kMaxServices, "what clients connect to"),
      group("sources", &Config::sources, sources_settings(), "who may come"),
      group("announce", &Config::announce, announce_settings(), "how the network learns which VIPs are served here"),
      group("records", &Config::records, records_settings(), "what is written down of each session"),
      group("fleet", &Config::fleet, fleet_settings(), "the nodes that share the VIPs"),
  };
}

}  // namespace

const Group<Config>& settings() {
  static const Group<Config> all = all_settings();
  return all;
}

const Group<Pool>& discovered_settings() {
  static const Group<Pool> all = {
      required(list("backends", &Pool::backends, backend_settings(), kMaxBackends, "the members"))};
  return all;
}

}  // namespace sluice::config
