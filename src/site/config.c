#include "site/config.h"

#include <stdlib.h>
#include <string.h>

static void
free_store(struct cw_config_store *store)
{
	for (size_t i = 0; i < store->root_count; i++) {
		free(store->roots[i].name);
		free(store->roots[i].path);
		free(store->roots[i].command);
	}
	for (size_t i = 0; i < store->exclude_count; i++)
		free(store->excludes[i]);
	free(store->roots);
	free(store->excludes);
	free(store->name);
	free(store->format);
	free(store->history);
	free(store->every);
	free(store->timeout);
	free(store->limit);
	free(store->follow);
}

void
cw_config_free(struct cw_config *config)
{
	for (size_t i = 0; i < config->peer_count; i++) {
		free(config->peers[i].name);
		free(config->peers[i].card_text);
		free(config->peers[i].address);
	}
	for (size_t i = 0; i < config->store_count; i++)
		free_store(&config->stores[i]);
	for (size_t i = 0; i < config->setting_count; i++) {
		free(config->settings[i].section);
		free(config->settings[i].name);
		free(config->settings[i].key);
		free(config->settings[i].value);
	}
	free(config->peers);
	free(config->stores);
	free(config->settings);
	free(config->name);
	free(config->state);
	free(config->listen);
	free(config->contact);
	*config = (struct cw_config)CW_CONFIG_INIT;
}

const struct cw_config_peer *
cw_config_peer(const struct cw_config *config, const char *name)
{
	for (size_t i = 0; i < config->peer_count; i++)
		if (strcmp(config->peers[i].name, name) == 0)
			return &config->peers[i];
	return NULL;
}

const struct cw_config_store *
cw_config_store(const struct cw_config *config, const char *name)
{
	for (size_t i = 0; i < config->store_count; i++)
		if (strcmp(config->stores[i].name, name) == 0)
			return &config->stores[i];
	return NULL;
}
