// SPDX-License-Identifier: Apache-2.0
#include "controlplane/process/controller.h"

#include "controlplane/page/page.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <set>
#include <stdexcept>
#include <utility>

#include "controlplane/announce/facts.h"
#include "controlplane/changes/limits.h"
#include "controlplane/process/node_facts.h"

namespace sluice::control {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto kPatience = 5s;
constexpr auto kTick = 1s;  // of what operators set a time for

/// 0 = none. Throws where the file is not as it has to be.
uint64_t placement_secret_of(const config::Control& control) {
  if (control.placement_secret_file.empty()) return 0;
  const auto secret = Token::read(control.placement_secret_file);
  if (!secret) throw std::runtime_error("control.placement_secret_file: " + secret.error());
  return secret->number();
}

}  // namespace

Controller::Controller(asio::io_context& io, config::Config config, std::string path)
    : io_(io),
      config_(std::move(config)),
      configuration_{std::move(path), std::chrono::system_clock::now(), {}, ""},
      journal_file_(config_.control.state + "/events.jsonl"),
      placement_secret_(placement_secret_of(config_.control)),
      model_(config_, journal_, placement_secret_),
      http_(io, router_, {}, AccessRules::of(config_.control)),
      neighbors_(
          io, std::set<std::string>{},
          [this](const config::IpAddress& address, const Reachability& reachability) {
            verdicts_.on_reachability(address, reachability);
          },
          [this](const std::string& fault) { journal_.record(Severity::kWarning, "control", "neighbours", fault); }),
      local_addresses_(io, [this](const std::vector<LocalAddress>& addresses) { on_local_addresses(addresses); }),
      prober_(io.get_executor()),
      channel_(
          io, config_.channel_socket(),
          {.connected = [this](uint32_t workers) { on_connected(workers); },
           .disconnected = [this](const std::string& reason) { on_disconnected(reason); },
           .ending = [this] { records_.drain(); },
           .fault =
               [this](const std::string& fault) { journal_.record(Severity::kError, "dataplane", "channel", fault); },
           .in_use =
               [](std::chrono::microseconds latency) {
                 spdlog::info("dataplane: change in use on every worker after {} us", latency.count());
               }},
          {}),
      overrides_(
          config_, model_, journal_, [this](const Member& member) { return flow_counts().of_member(member); },
          config_.control.state),
      sources_(io, journal_, config_.control.state, [this] { something_changed(); }),
      discovery_(io, journal_, config_.control.state,
                 [this](const DiscoveredPools& known) { return take_discovered(known); }),
      file_digests_(file_digests(configuration_.path, config::files_of(configuration_.path, "fleet.node"))),
      fleet_(io, journal_, config_.control.state,
             {.on_backends =
                  [this](const std::expected<PoolDocuments, std::string>& told) { discovery_.hear_fleet(told); },
              .on_wishes =
                  [this](Wishes wishes) {
                    follow_clock();
                    if (overrides_.set_wishes(std::move(wishes))) something_changed();
                  },
              .on_blocks = [this](FleetBlocksHeard heard) { sources_.hear_fleet(std::move(heard)); },
              .report = [this] { return node_facts(config_, model_, channel_, file_digests_, journal_.now()); }}),
      limit_watch_(journal_),
      syn_watch_(journal_),
      security_(io, model_, journal_),
      announcer_(io, model_, journal_, config_.control.state,
                 {.fault = [this] { return node_fault(); }, .flows = [this] { return node_flows(); }}),
      tick_(io),
      steering_(io, model_, channel_, journal_, [this] { something_changed(); }),
      ports_(io, model_, channel_, neighbors_, journal_, [this] { something_changed(); }),
      router_follower_(io, model_, channel_, journal_),
      server_routing_(io, model_, journal_, [this] { something_changed(); }),
      step_(io),
      patience_(io),
      verdicts_(io, model_, prober_, journal_,
                {.changed =
                     [this](Clock::time_point cause, bool matters) {
                       // Before the first publication every verdict counts: it may be the one that was waited for.
                       if (matters || !published_) something_changed(cause);
                     },
                 .calm =
                     [this] {
                       if (latest_addresses_) on_local_addresses(std::vector(*latest_addresses_));
                     },
                 .has_route = [this](const config::IpAddress& address) { return neighbors_.has_route(address); },
                 .packets_from = [this](const Member& member) -> std::optional<uint64_t> {
                   const auto figures = figures_of(channel_, member);
                   return figures ? std::optional(figures->flows.packets_out) : std::nullopt;
                 }}),
      sampler_(io, model_, channel_),
      flows_(io, channel_),
      inspections_(io, channel_, config_.runtime_directory()),
      records_(
          io, model_, channel_, journal_, config_.instance,
          [this](const KnownSession& session) {
            const std::string service = session.service ? session.service->name : std::string();
            tally_.see(session, sources_.see(session.record, service), journal_.now());
          },
          [this](const Address& source) -> std::shared_ptr<const BlockNames> {
            const auto by = sources_.longest_block(config::IpAddress{source.bytes});
            if (!by) return nullptr;
            return std::make_shared<const BlockNames>(by->prefix.to_string(), std::string(name_of(*by)));
          }),
      turns_(io.get_executor(), [this] { return model_.composition(); }),
      api_{config_, model_, channel_, journal_, dataplane_, journal_.now(), &sampler_.history(), &prober_, [this] {
             something_changed();
           }} {
  dataplane_.since = api_.started;
  api_.configuration = &configuration_;
  api_.overrides = &overrides_;
  api_.reload = [this] { return reload(); };
  api_.compare = [this](const LoadedConfig& wanted) { return compare(wanted); };
  api_.flows = &flows_;
  api_.inspections = &inspections_;
  api_.sources = &sources_;
  api_.discovery = &discovery_;
  api_.fleet = &fleet_;
  api_.security = &security_;
  api_.announcer = &announcer_;
  api_.records = &records_;
  api_.tally = &tally_;
  api_.turns = &turns_;
  api_.routing = &server_routing_.facts();
  neighbors_.set_on_twin([this](const std::string& twin, bool up) {
    const auto port = std::ranges::find(config_.dataplane.ports, twin, &config::Port::twin);
    if (port == config_.dataplane.ports.end()) return;
    verdicts_.on_way(port->name, WaySource::kTwin, up, fmt::format("twin {} is {}", twin, up ? "up" : "down"));
  });
  ports_.set_on_link([this](const std::string& port, bool up) {
    verdicts_.on_way(port, WaySource::kCard, up, up ? "link up" : "link down");
    const auto known = std::ranges::find(config_.dataplane.ports, port, &config::Port::name);
    const std::string back = up && known != config_.dataplane.ports.end() ? known->twin : "";
    asio::post(io_, [this, back] {  // when the model knows
      announcer_.update();
      if (!back.empty()) announcer_.on_link_back(back);
    });
  });
  router_.before_changes([this] { follow_clock(); });
  add_api(router_, api_);
  add_page_routes(router_);
}

void Controller::start() {
  keep_journal();
  begin_with_discovered();
  recall();
  overrides_.restore();
  sources_.start(config_.sources);
  tally_.follow(config_.sources);
  announcer_.start(config_);
  fleet_.start(config_.fleet);
  security_.follow(config_);
  serve_api();
  patience_.expires_after(kPatience);
  patience_.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    out_of_patience_ = true;
    something_changed();
  });
  verdicts_.follow(config_);
  ports_.follow(config_.dataplane.ports);
  ports_.start();
  router_follower_.follow(config_.dataplane.ports);
  router_follower_.start();
  server_routing_.follow(config_.dataplane.server_routing);
  server_routing_.start();
  local_addresses_.presume(model_.local_addresses());
  local_addresses_.follow(config_);
  local_addresses_.start();
  neighbors_.follow(addresses());
  neighbors_.start();
  start_checks();
  steering_.follow(config_);
  channel_.start();
  sampler_.start();
  records_.follow(config_.records);
  records_.start();
  journal_.record(Severity::kInfo, "control", config_.instance,
                  fmt::format("started, version {}: {} services, {} backends", SLUICE_VERSION, model_.services().size(),
                              model_.members().size()));
  tick();
  something_changed();
}

void Controller::serve_api() {
  http_.tell(audit_);
  http_.listen(config_.control.api, config_.control.api_group);
  if (config_.control.http.empty()) return;
  std::unique_ptr<Certificate> certificate;
  if (config_.control.tls)
    certificate = std::make_unique<Certificate>(*config_.control.tls, [this](const std::string& fault) {
      journal_.record(fault.empty() ? Severity::kInfo : Severity::kWarning, "api", "certificate",
                      fault.empty() ? "its files are sound again" : fault + "; the last good ones stay in use");
    });
  http_.listen_tcp(config_.control.http, std::move(certificate));
}

void Controller::stop() {
  journal_.record(Severity::kInfo, "control", config_.instance, "stopping; packets go by the last state");
  verdicts_.stop();
  (void)prober_.set_targets({});
  http_.stop();
  neighbors_.stop();
  inspections_.stop();
  records_.stop();
  local_addresses_.stop();
  channel_.stop();
  sampler_.stop();
  steering_.stop();
  ports_.stop();
  router_follower_.stop();
  server_routing_.stop();
  announcer_.stop();
  fleet_.stop();
  security_.stop();
  step_.cancel();
  patience_.cancel();
  tick_.cancel();
}

std::vector<health::Target> Controller::targets_of(const config::Config& config, const Model& model) {
  std::vector<health::Target> targets;
  for (const Member& member : model.members()) {
    const config::Check* check = config.find_check(member.check);
    if (check == nullptr) continue;
    targets.push_back({member.label(), member.address, check->port.value_or(member.port), *check});
  }
  return targets;
}

void Controller::start_checks() {
  if (const auto set = prober_.set_targets(targets_of(config_, model_)); !set) throw std::runtime_error(set.error());
  verdicts_.start();
}

std::vector<config::IpAddress> Controller::addresses() const {
  std::set<config::IpAddress> out;
  for (const Member& member : model_.members()) out.insert(member.address);
  return {out.begin(), out.end()};
}

void Controller::tick() {
  follow_clock();
  if (overrides_.tick()) something_changed();
  sources_.tick();
  discovery_.tick();
  security_.tick();
  const auto& limits = config_.sources.limits;
  limit_watch_.tick(limits, refused_by_limits(channel_, limits.size()));
  const ChannelMapping* mapping = channel_.mapping();
  const auto counters = mapping == nullptr ? std::nullopt : std::optional(worker_counters(*mapping));
  syn_watch_.tick(counters);
  tally_.tick(counters, journal_.now());
  announcer_.tick();
  const bool told = model_.set_node_leaving(announcer_.node().leaves());
  const bool is_fuller = channel_.is_settled() && model_.note_fullness(flow_counts());
  if (model_.tell_removed() || told || is_fuller) something_changed();
  if (channel_.is_settled() && model_.end_removals(flow_counts())) {
    members_have_changed();
    something_changed();
  }
  tick_.expires_after(kTick);
  tick_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) tick();
  });
}

void Controller::on_local_addresses(const std::vector<LocalAddress>& addresses) {
  latest_addresses_ = addresses;
  std::vector<LocalAddress> believed;
  const std::vector<LocalAddress> none;
  std::ranges::set_union(addresses, verdicts_.is_awaiting() ? model_.local_addresses() : none,
                         std::back_inserter(believed));
  const bool changed = model_.set_local_addresses(std::move(believed));
  if (changed) remember();
  if (changed || !published_) something_changed();
}

void Controller::publish_anew() {
  // At once: what was meant for the data plane's former ports must not be the first that it hears, and what the
  // snapshot does not name is dropped, and its flows cut.
  if (published_) {
    model_.refresh();
    publish(Clock::now());
  }
  something_changed();
}

void Controller::publish(Clock::time_point cause) {
  Desired desired = model_.desired();
  desired.sources = sources_.list();
  desired.refused = sources_.refused();
  desired.limits = limits_of(config_);
  desired.limits.exempt = sources_.exempt();
  server_routing_.follow(config_.dataplane.server_routing);  // ports may be bound otherwise now
  desired.server_routes = server_routing_.table();
  channel_.publish(std::move(desired), cause);
}

void Controller::members_have_changed() {
  neighbors_.follow(addresses());
  remember();
  if (const auto set = prober_.set_targets(targets_of(config_, model_)); !set) spdlog::error("checks: {}", set.error());
  verdicts_.follow(config_);
}

std::optional<std::string> Controller::node_fault() const {
  if (!heard_of_dataplane_) return std::nullopt;
  if (!dataplane_.connected) return "the data plane is not connected: " + dataplane_.reason;
  if (!published_) return std::nullopt;
  return port_fault(config_.dataplane.ports, model_.ports());
}

bool Controller::may_publish() const {
  if (sources_.list() == nullptr) return false;  // whom it blocks would come in meanwhile
  return published_ || out_of_patience_ || dataplane_is_blank_ || model_.is_settled();
}

void Controller::something_changed(Clock::time_point cause) {
  const bool is_due = cause_.has_value();
  cause_ = is_due ? std::min(*cause_, cause) : cause;
  // Posted, so that everything that became known in this turn of the loop makes one publication.
  if (!is_due) asio::post(io_, [this] { refresh(); });
}

void Controller::refresh() {
  const Clock::time_point cause = *cause_;
  cause_.reset();
  if (!may_publish()) return;
  follow_clock();
  published_ = true;
  model_.refresh();
  wait_for_step();
  publish(cause);
  announcer_.update();
}

void Controller::wait_for_step() {
  const auto due = model_.next_step();
  if (!due) {
    step_.cancel();
    return;
  }
  step_.expires_after(std::max<SystemTime::duration>(*due - journal_.now(), 1ms));
  step_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) something_changed();
  });
}

}  // namespace sluice::control
