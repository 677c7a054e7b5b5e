// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/documents.h"

#include <fmt/format.h>

namespace sluice::ctl {

namespace {

/// Text that roff takes as text: no line begins with a control character, no backslash is an escape.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '\\' ? "\\e" : std::string(1, c);
  return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

/// Running text as roff wants it: sentences begin lines, the first with a capital; a full stop at the end.
std::string sentences(const std::string& help) {
  std::string out = roff(help);
  if (!out.empty() && out.front() >= 'a' && out.front() <= 'z')
    out.front() = static_cast<char>(out.front() - 'a' + 'A');
  for (size_t at = out.find(". "); at != std::string::npos; at = out.find(". ", at + 1))
    if (at + 2 < out.size() && out[at + 2] >= 'A' && out[at + 2] <= 'Z') out[at + 1] = '\n';
  return out + ".";
}

/// A word as an argument of a macro, which may look like the name of one.
std::string word(const std::string& text) {
  return "\\&" + roff(text);
}

std::string argument_macro(const Argument& argument) {
  const std::string inner = fmt::format("Ar {}{}", word(argument.name), argument.many ? " ..." : "");
  return argument.required ? "." + inner + "\n" : ".Op " + inner + "\n";
}

std::string option_words(const Option& option) {
  return fmt::format("Fl -{}{}", option.name, option.value.empty() ? "" : fmt::format(" Ar {}", word(option.value)));
}

std::string command_section(const Command& command) {
  std::string out = fmt::format(".Ss {}\n.Nm\n.Cm {}\n", command.name, command.name);
  for (const Argument& argument : command.arguments) out += argument_macro(argument);
  for (const Option& option : command.options)
    out += fmt::format(".Op {}{}\n", option_words(option), option.many ? " Ar ..." : "");
  out += fmt::format(".Pp\n{}\n", sentences(command.help));
  if (command.arguments.empty() && command.options.empty()) return out;
  out += ".Bl -tag -width Ds\n";
  for (const Argument& argument : command.arguments)
    out += fmt::format(".It Ar {}\n{}\n", word(argument.name), sentences(argument.help));
  for (const Option& option : command.options)
    out += fmt::format(".It {}\n{}\n", option_words(option), sentences(option.help));
  return out + ".El\n";
}

constexpr std::string_view kManHead = R"(.\" Made from the table of commands; do not edit.
.Dd November 21, 2026
.Dt SLUICECTL 8
.Os Sluice
.Sh NAME
.Nm sluicectl
.Nd look after a running Sluice
.Sh SYNOPSIS
.Nm
.Op Fl -config Ar FILE | Fl -socket Ar PATH
.Op Fl -json
.Ar command
.Op Ar ...
.Sh DESCRIPTION
.Nm
speaks to
.Xr sluice-control 8
over its Unix socket.
Without
.Fl -config
and
.Fl -socket
it takes the only instance that runs on the machine.
.Bl -tag -width Ds
.It Fl -config Ar FILE
Find the instance by its configuration file.
.It Fl -socket Ar PATH
Control's socket.
.It Fl -json
JSON in place of tables.
.It Fl -version
Print the version.
.It Fl -help
What there is; after a command, of that command.
.El
.Sh COMMANDS
)";

constexpr std::string_view kManTail = R"(.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev SLUICE_RUNTIME_DIR
Where instances have their sockets, in place of
.Pa /run/sluice .
.It Ev NO_COLOR
If it is not empty, no colours.
.El
.Sh FILES
.Bl -tag -width Ds
.It Pa /run/sluice/INSTANCE/control.sock
Control's socket.
.El
.Sh EXIT STATUS
.Bl -tag -width Ds -compact
.It 0
All right.
.It 1
The request failed.
.It 2
Wrong usage.
.It 3
Control cannot be reached.
.It 4
No such backend, pool or service.
.It 5
What was waited for did not come about in time.
.El
.Sh SEE ALSO
.Xr sluice.cfg 5 ,
.Xr sluice-control 8 ,
.Xr sluice-dataplane 8
)";

constexpr std::string_view kCompletionHead =
    R"(# bash completion for sluicectl                             -*- shell-script -*-
# Made from the table of commands; do not edit.

# Names from the running instance, found by the --config or --socket that stands on the line.
_sluicectl_names() {
  local i where=()
  for ((i = 1; i < COMP_CWORD - 1; i++)); do
    case ${COMP_WORDS[i]} in
      --config | --socket) where=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}") ;;
    esac
  done
  sluicectl "${where[@]}" --json status 2>/dev/null | python3 -c '
import json, sys
status, kind = json.load(sys.stdin), sys.argv[1]
for each in status[kind]:
    print(each["pool"] + "/" + each["name"] if kind == "backends" else each["name"])' "$1" 2>/dev/null
}

_sluicectl() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command= arguments=0 i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --config | --socket) ((i++)) ;;
      -*) [ -n "$command" ] && _sluicectl_takes_value "$command" "${COMP_WORDS[i]}" && ((i++)) ;;
      *) if [ -z "$command" ]; then command=${COMP_WORDS[i]}; else ((arguments++)); fi ;;
    esac
  done
  case $previous in
    --config) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    --socket) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
  esac
  if [ -n "$command" ] && _sluicectl_takes_value "$command" "$previous"; then
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
    return
  fi
)";

/// The words of a list such as "pause, resume or rollback".
std::string enumerated(const std::string& help) {
  std::string out;
  for (const char c : help) out += c == ',' ? ' ' : c;
  if (const size_t last = out.find(" or "); last != std::string::npos) out.erase(last, 3);
  return out;
}

/// What the shell offers for the word at that place.
std::string candidates(const Argument& argument) {
  if (argument.name == "BACKEND") return "$(_sluicectl_names backends)";
  if (argument.name == "POOL") return "$(_sluicectl_names pools)";
  if (argument.name == "SERVICE") return "$(_sluicectl_names services)";
  if (argument.name == "FORMAT" || argument.name == "ACTION") return enumerated(argument.help);
  return "";
}

/// Whether files are offered.
bool is_file(const Argument& argument) {
  return argument.name.find("FILE") != std::string::npos;
}

std::string takes_value_function(const std::vector<Command>& commands) {
  std::string out = "_sluicectl_takes_value() {\n  case $1:$2 in\n";
  for (const Command& command : commands)
    for (const Option& option : command.options)
      if (!option.value.empty()) out += fmt::format("    {}:--{}) return 0 ;;\n", command.name, option.name);
  return out + "  esac\n  return 1\n}\n\n";
}

std::string case_of(const Command& command) {
  std::string options = "--json --help";
  for (const Option& option : command.options) options += " --" + option.name;
  std::string out = fmt::format("    {})\n      words='{}'\n", command.name, options);
  out += "      case $arguments in\n";
  for (size_t i = 0; i < command.arguments.size(); i++) {
    const Argument& argument = command.arguments[i];
    const std::string place = argument.many ? "*" : std::to_string(i);
    if (is_file(argument)) out += fmt::format("        {}) files=1 ;;\n", place);
    if (const std::string some = candidates(argument); !some.empty())
      out += fmt::format("        {}) [[ $current == -* ]] || words=\"{}\" ;;\n", place, some);
  }
  return out + "      esac\n      ;;\n";
}

}  // namespace

std::string man_page(const std::vector<Command>& commands) {
  std::string out(kManHead);
  for (const Command& command : commands) out += command_section(command);
  return out + std::string(kManTail);
}

std::string bash_completion(const std::vector<Command>& commands) {
  std::string names;
  for (const Command& command : commands) names += (names.empty() ? "" : " ") + command.name;
  std::string out(kCompletionHead);
  out +=
      fmt::format("  local words='{} --config --socket --json --help --version' files=\n  case $command in\n", names);
  for (const Command& command : commands) out += case_of(command);
  out +=
      "  esac\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
      "  [ -z \"$files\" ] || [[ $current == -* ]] || mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
      "}\n\n";
  return out + takes_value_function(commands) + "complete -o filenames -F _sluicectl sluicectl\n";
}

}  // namespace sluice::ctl
