// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/fleet.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "controlplane/fleet/fenced_write.h"

namespace sluice::control {

namespace {

constexpr const char* kBackends = "backends";
constexpr const char* kNodes = "nodes";
constexpr const char* kWishes = "wishes";
constexpr const char* kBlocks = "blocks";

std::string prefix_of(const config::Etcd& etcd, const std::string& what) {
  return etcd.prefix + "/" + what + "/";
}

/// 128 bits, as no two processes draw the same.
std::string random_name() {
  std::random_device source;
  std::string out;
  for (int i = 0; i < 4; i++) out += fmt::format("{:08x}", source());
  return out;
}

}  // namespace

Fleet::Fleet(boost::asio::io_context& io, Journal& journal, const std::string& directory, Hooks hooks)
    : io_(io),
      journal_(journal),
      hooks_(std::move(hooks)),
      identity_(journal, directory + "/etcd.json"),
      instance_(random_name()) {}

void Fleet::start(const config::Fleet& config) {
  if (config.etcd) identity_.restore();
  follow(config);
}

void Fleet::follow(const config::Fleet& config) {
  if (config.etcd == etcd_) return;
  stop();
  etcd_ = config.etcd;
  if (!etcd_) return;
  node_ = hooks_.report().node;
  backends_ =
      follow_keys(kBackends, [this](const Heard& listing, const Asked& asked) { hear_backends(listing, asked); });
  nodes_ = follow_keys(kNodes, [this](const Heard& listing, const Asked&) { hear_nodes(listing); });
  wishes_ = follow_keys(kWishes, &Fleet::hear_wishes);
  blocks_ = follow_keys(kBlocks, &Fleet::hear_blocks);
  presence_ = std::make_unique<NodePresence>(
      io_, *etcd_, node_, instance_,
      NodePresence::Hooks{.text =
                              [this] {
                                NodeReport report = hooks_.report();
                                report.instance = instance_;
                                return to_text(report);
                              },
                          .on_name = [this](const NameState& state) { hear_of_name(state); },
                          .on_write = [this](const std::string& fault) { hear_of_write(fault); }});
}

void Fleet::stop() {
  if (etcd_) identity_.write_down();
  backends_.reset();
  nodes_.reset();
  wishes_.reset();
  blocks_.reset();
  presence_.reset();
  reports_.clear();
  name_ = {};
  etcd_.reset();
  told_.reset();
  verdicts_.clear();
  newest_.clear();
  fault_.clear();
  backends_fault_.clear();
  write_fault_.clear();
}

Fleet::Done Fleet::accept() {
  return identity_.accept();
}

void Fleet::hear_of_name(const NameState& state) {
  const NameState before = std::exchange(name_, state);
  if (before.rival == state.rival && (before.is_ours == state.is_ours || !state.rival)) return;
  if (!state.rival) return journal_.record(Severity::kInfo, "fleet", node_, "no other node is called so any more");
  journal_.record(Severity::kError, "fleet", node_,
                  fmt::format("another node is called so, too, at {}: {} is what the others see; give each its own "
                              "fleet.node",
                              state.rival->host.empty() ? "a host that it does not name" : state.rival->host,
                              state.is_ours ? "this one" : "that one"));
}

void Fleet::hear_of_write(const std::string& fault) {
  const bool was_good = write_fault_.words().empty();
  if (!write_fault_.set(fault, journal_.now())) return;
  if (fault.empty())
    journal_.record(Severity::kInfo, "fleet", "etcd", "takes what is written again");
  else if (was_good)
    journal_.record(Severity::kError, "fleet", "etcd",
                    "takes nothing that is written, and is read as before: " + fault);
}

void Fleet::hear_backends(const Heard& listing, const Asked& asked) {
  const std::string& fault = verdict_on(kBackends, listing, asked);
  const bool is_news = backends_fault_.set(fault, journal_.now());
  if (!fault.empty()) {
    told_.reset();
    if (is_news) hooks_.on_backends(std::unexpected(fault));
    return;
  }
  if (!is_newest(kBackends, *listing) || told_ == listing->records) return;
  told_ = listing->records;
  hooks_.on_backends(documents_from(*told_, prefix_of(*etcd_, kBackends)));
}

void Fleet::hear_nodes(const Heard& listing) {
  if (!listing) return;  // that of the others is told, and nothing is done by what nodes say
  reports_.clear();
  for (const etcd::Record& record : listing->records) {
    if (auto report = report_from(record, prefix_of(*etcd_, kNodes))) reports_.push_back(std::move(*report));
  }
}

std::unique_ptr<EtcdFollower> Fleet::follow_keys(const std::string& what, EtcdFollower::Told told) {
  return std::make_unique<EtcdFollower>(io_, *etcd_, identity_, prefix_of(*etcd_, what), std::move(told));
}

std::unique_ptr<EtcdFollower> Fleet::follow_keys(const std::string& what, void (Fleet::*hear)(const etcd::Listing&)) {
  return follow_keys(what, [this, what, hear](const Heard& listing, const Asked& asked) {
    if (verdict_on(what, listing, asked).empty() && is_newest(what, *listing)) (this->*hear)(*listing);
  });
}

/// Each listing is judged by itself, as nothing orders what is asked side by side.
const std::string& Fleet::verdict_on(const std::string& what, const Heard& listing, const Asked& asked) {
  std::string& verdict = verdicts_[what];
  verdict = listing ? identity_.judge(listing->at, asked) : listing.error();
  const auto worst = std::ranges::find_if(verdicts_, [](const auto& each) { return !each.second.empty(); });
  const std::string fault = worst == verdicts_.end() ? "" : worst->second;
  const bool was_good = fault_.words().empty();
  if (!fault_.set(fault, journal_.now())) return verdict;
  if (fault.empty())
    journal_.record(Severity::kInfo, "fleet", "etcd", "answers again");
  else if (was_good)
    journal_.record(Severity::kError, "fleet", "etcd", "what is known stays: " + fault);
  return verdict;
}

bool Fleet::is_newest(const std::string& what, const etcd::Listing& listing) {
  const Asked now{.revision = listing.at.revision, .acceptances = identity_.asked().acceptances};
  const auto [last, is_first] = newest_.try_emplace(what, now);
  if (!is_first && last->second.acceptances == now.acceptances && now.revision < last->second.revision) return false;
  last->second = now;
  return true;
}

void Fleet::hear_wishes(const etcd::Listing& listing) {
  WishListing said = wishes_in(listing.records, prefix_of(*etcd_, kWishes));
  tell_faults(kWishes, std::move(said.faults));
  hooks_.on_wishes(std::move(said.wishes));
}

void Fleet::hear_blocks(const etcd::Listing& listing) {
  BlockListing said = blocks_in(listing.records, prefix_of(*etcd_, kBlocks));
  tell_faults(kBlocks, std::move(said.faults));
  hooks_.on_blocks(std::move(said.heard));
}

void Fleet::tell_faults(const std::string& what, std::vector<std::string> faults) {
  if (faults == key_faults_[what]) return;
  for (const std::string& fault : faults)
    journal_.record(Severity::kWarning, "fleet", what, "not understood: " + fault);
  key_faults_[what] = std::move(faults);
}

void Fleet::change(const std::vector<WishChange>& changes, Told done) {
  std::vector<FencedChange> out;
  out.reserve(changes.size());
  for (const WishChange& each : changes) out.push_back(fenced(each));
  make(kWishes, std::move(out), &Fleet::hear_wishes, std::move(done));
}

void Fleet::change(const BlockChange& change, Told done) {
  make(kBlocks, {fenced(change)}, &Fleet::hear_blocks, std::move(done));
}

void Fleet::make(const std::string& what, std::vector<FencedChange> changes, void (Fleet::*hear)(const etcd::Listing&),
                 Told done) {
  if (!fault().empty()) return done("etcd is not to be had: " + fault());
  if (!verdicts_.contains(what)) return done("etcd has not answered yet: say it again");
  const size_t answers = (what == kWishes ? wishes_ : blocks_)->member();
  make_fenced(
      io_, EtcdClient(io_.get_executor(), *etcd_, answers), prefix_of(*etcd_, what), std::move(changes),
      [this, what, hear, asked = identity_.asked(), alive = std::weak_ptr(alive_)](const etcd::Listing& listing) {
        if (alive.expired() || !etcd_) return std::string();
        std::string fault = verdict_on(what, listing, asked);
        if (fault.empty() && is_newest(what, listing)) (this->*hear)(listing);
        return fault;
      },
      [done = std::move(done)](const std::expected<void, std::string>& made) { done(made ? "" : made.error()); });
}

}  // namespace sluice::control
