# Completion of hla for zsh; in ~/.zshrc: source FOLDER/completion/hla.zsh
# The script for bash knows zsh, too, and reads it through zsh's bashcompinit.
source "${${(%):-%x}:A:h}/hla.bash"
