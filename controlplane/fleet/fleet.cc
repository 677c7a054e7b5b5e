// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/fleet.h"

#include <fmt/format.h>

#include <chrono>
#include <random>
#include <utility>

#include "controlplane/fleet/fenced_write.h"

namespace sluice::control {

namespace {

/// The words of a fault may change with every try: no event a second for that.
constexpr std::chrono::seconds kWordsStay{10};

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
  backends_ = std::make_unique<EtcdFollower>(
      io_, *etcd_, etcd_->prefix + "/backends/",
      [this](const std::expected<etcd::Listing, std::string>& listing) { hear_backends(listing); });
  const std::string nodes = etcd_->prefix + "/nodes/";
  node_ = hooks_.report().node;
  nodes_ = std::make_unique<EtcdFollower>(
      io_, *etcd_, nodes, [this](const std::expected<etcd::Listing, std::string>& listing) { hear_nodes(listing); });
  wishes_ = follow_keys(kWishes, &Fleet::hear_wishes);
  blocks_ = follow_keys(kBlocks, &Fleet::hear_blocks);
  presence_ = std::make_unique<NodePresence>(
      io_, *etcd_, node_, instance_,
      [this] {
        NodeReport report = hooks_.report();
        report.instance = instance_;
        return to_text(report);
      },
      [this](const NameState& state) { hear_of_name(state); });
}

void Fleet::stop() {
  backends_.reset();
  nodes_.reset();
  wishes_.reset();
  blocks_.reset();
  presence_.reset();
  reports_.clear();
  name_ = {};
  etcd_.reset();
  told_.reset();
  fault_.clear();
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

void Fleet::hear_backends(const std::expected<etcd::Listing, std::string>& listing) {
  const std::string fault = listing ? identity_.judge(listing->at) : listing.error();
  const bool is_news = set_fault(fault);
  if (!fault.empty()) {
    told_.reset();
    if (is_news) hooks_.on_backends(std::unexpected(fault));
    return;
  }
  if (told_ == listing->records) return;
  told_ = listing->records;
  hooks_.on_backends(documents_from(*told_, etcd_->prefix + "/backends/"));
}

void Fleet::hear_nodes(const std::expected<etcd::Listing, std::string>& listing) {
  if (!listing) return;  // that of the backends is told, and nothing is done by what nodes say
  reports_.clear();
  for (const etcd::Record& record : listing->records) {
    if (auto report = report_from(record, etcd_->prefix + "/nodes/")) reports_.push_back(std::move(*report));
  }
}

std::unique_ptr<EtcdFollower> Fleet::follow_keys(const std::string& what, void (Fleet::*hear)(const etcd::Listing&)) {
  return std::make_unique<EtcdFollower>(io_, *etcd_, prefix_of(*etcd_, what),
                                        [this, hear](const std::expected<etcd::Listing, std::string>& listing) {
                                          if (listing) (this->*hear)(*listing);
                                        });
}

/// By the cluster that backends are heard from, or not at all: whether that is to be believed is judged there.
bool Fleet::believes(const etcd::Listing& listing) const {
  return etcd_ && fault_.empty() && identity_.known() && identity_.known()->cluster == listing.at.cluster;
}

void Fleet::hear_wishes(const etcd::Listing& listing) {
  if (!believes(listing)) return;
  WishListing said = wishes_in(listing.records, prefix_of(*etcd_, kWishes));
  tell_faults(kWishes, std::move(said.faults));
  hooks_.on_wishes(std::move(said.wishes));
}

void Fleet::hear_blocks(const etcd::Listing& listing) {
  if (!believes(listing)) return;
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
  if (!fault_.empty()) return done("etcd is not to be had: " + fault_);
  make_fenced(
      io_, *etcd_, prefix_of(*etcd_, what), std::move(changes),
      [this, hear, alive = std::weak_ptr(alive_)](const etcd::Listing& listing) {
        if (!alive.expired()) (this->*hear)(listing);
      },
      [done = std::move(done)](const std::expected<void, std::string>& made) { done(made ? "" : made.error()); });
}

bool Fleet::set_fault(const std::string& fault) {
  const bool was_good = fault_.empty();
  const SystemTime now = journal_.now();
  const bool is_early = now >= fault_since_ && now - fault_since_ < kWordsStay;
  if (fault == fault_ || (!was_good && !fault.empty() && is_early)) return false;
  fault_ = fault;
  fault_since_ = now;
  if (fault.empty()) {
    journal_.record(Severity::kInfo, "fleet", "etcd", "answers again");
  } else if (was_good) {
    journal_.record(Severity::kError, "fleet", "etcd", "what is known stays: " + fault);
  }
  return true;
}

}  // namespace sluice::control
