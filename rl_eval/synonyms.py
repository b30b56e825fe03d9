"""Names of other libraries for the keys of configs and suites, for messages."""

from __future__ import annotations

# Ours -> the words of Stable-Baselines3, CleanRL, RLlib, Tianshou, Spinning Up and everyday speech.
_WORDS = {
    "lr": "learning_rate learning_rates step_size",
    "total_steps": "total_timesteps timesteps n_timesteps num_timesteps steps max_steps env_steps num_env_steps "
    "total_env_steps train_steps training_steps",
    "n_envs": "num_envs n_env num_env envs num_workers n_workers env_num training_num",
    "n_steps": "num_steps rollout_length rollout_steps rollout_fragment_length horizon n_step unroll_length",
    "n_step": "n_steps num_steps multi_step nstep n_step_returns estimation_step",
    "gamma": "discount discount_factor",
    "gae_lambda": "gae lam lambda lambda_ gae_lam",
    "ent_coef": "entropy_coef entropy_coeff ent_coeff entropy_cost entropy_weight entropy",
    "vf_coef": "value_coef value_coeff value_loss_coef vf_coeff vf_loss_coeff value_weight",
    "clip_range": "clip clip_coef clip_param clip_eps clip_epsilon clip_ratio eps_clip cliprange epsilon",
    "clip_range_vf": "clip_vloss vf_clip_param clip_value value_clip cliprange_vf",
    "max_grad_norm": "grad_clip clip_grad grad_norm max_norm max_gradient_norm gradient_clip",
    "n_epochs": "epochs n_epoch num_epochs update_epochs ppo_epochs num_sgd_iter repeat_per_collect noptepochs",
    "batch_size": "minibatch_size mini_batch_size sgd_minibatch_size train_batch_size batch minibatch",
    "buffer_size": "memory_size replay_size replay_buffer_size replay_capacity buffer_capacity capacity buffer",
    "learning_starts": "learning_start start_steps warmup warmup_steps update_after",
    "train_every": "train_freq train_frequency update_every update_freq",
    "updates_per_step": "gradient_steps update_to_data utd utd_ratio replay_ratio",
    "target_every": "target_update_interval target_network_frequency target_network_update_freq target_update "
    "target_update_freq",
    "tau": "polyak target_network_tau",
    "epsilon_start": "exploration_initial_eps start_e eps_start eps_train initial_epsilon",
    "epsilon_end": "exploration_final_eps end_e eps_end eps_train_final final_epsilon min_epsilon",
    "double": "double_q double_dqn is_double",
    "dueling": "dueling_dqn",
    "prioritized": "prioritised per prioritized_replay prioritised_replay",
    "priority_alpha": "prioritized_replay_alpha per_alpha",
    "priority_beta": "prioritized_replay_beta prioritized_replay_beta0 per_beta",
    "widths": "net_arch hidden_sizes hidden_layers hidden_dims hiddens layers fcnet_hiddens width",
    "activation": "activation_fn nonlinearity fcnet_activation",
    "network": "policy_kwargs model",
    "normalize_advantage": "norm_adv normalize_advantages normalise_advantage advantage_normalization",
    "normalize_obs": "norm_obs normalise_obs normalize_observations obs_norm",
    "normalize_reward": "norm_reward normalise_reward normalize_rewards rew_norm reward_normalization",
    "lr_schedule": "anneal_lr lr_decay linear_lr learning_rate_schedule",
    "optimizer_epsilon": "rms_prop_eps adam_eps",
    "log_every": "log_interval log_freq log_frequency",
    "checkpoint_every": "save_freq save_every save_interval checkpoint_freq checkpoint_interval",
    "validation.every": "eval_freq eval_every eval_interval evaluation_interval",
    "validation.episodes": "n_eval_episodes eval_episodes num_eval_episodes",
    "validation": "select eval evaluation",
    "test": "gate",
    "agent": "algo algorithm alg",
    "env": "environment",
    "env.id": "env_id env_name gym_id",
    "tracker": "logger track tracking report_to",
    "hardware": "accelerator",
    "gpu": "cuda",
    "name": "exp_name run_name experiment_name",
    "init": "load checkpoint pretrained from_checkpoint warm_start",
    "resume": "continue resume_from",
    "seed": "random_seed random_state",
    "at_least": "min minimum ge gte lower lower_bound",
    "at_most": "max maximum le lte upper upper_bound",
    "episodes": "n_episodes num_episodes",
    "metric": "measure",
}
SYNONYMS: dict[str, tuple[str, ...]] = {}
for _ours, _theirs in _WORDS.items():
    for _word in _theirs.split():
        SYNONYMS[_word] = (*SYNONYMS.get(_word, ()), _ours)


def synonyms(word: str) -> list[str]:
    """Words of the same meaning: ours first, then those that others have for it."""
    ours = SYNONYMS.get(word, ())
    others = [other for other, meanings in SYNONYMS.items() if word in meanings or set(ours) & set(meanings)]
    return [*ours, *others]
